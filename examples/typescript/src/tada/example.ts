// The same client with gql.tada: documents stand where they are used, and their types come from the schema at once,
// without generating anything per document.
import { initGraphQLTada } from "gql.tada";
import type { VestibuleClient } from "../client/client";
import type { introspection } from "./graphql-env";

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { ID: string; DateTime: string; Date: string; Upload: Blob };
}>();

const Rename = graphql(`
  mutation Rename($firstName: String!) {
    updateMe(input: { firstName: $firstName }) {
      user {
        id
        name
        role
      }
      errors {
        code
        field
        message
      }
    }
  }
`);

/** Changes the own first name; gives the name as others see it, or what the person can mend. */
export async function rename(client: VestibuleClient, firstName: string): Promise<{ name: string } | { mend: string }> {
  const { updateMe } = await client.request(Rename, { firstName });
  const [error] = updateMe?.errors ?? [];
  if (error?.code === "TOO_LONG") return { mend: "A shorter name, please." };
  return error ? { mend: error.message } : { name: updateMe?.user?.name ?? "" };
}

/** What the compiler refuses. */
export function refusals(client: VestibuleClient): void {
  // @ts-expect-error a variable of another type
  void client.request(Rename, { firstName: 1 });
  // @ts-expect-error no variables at all
  void client.request(Rename);
}
