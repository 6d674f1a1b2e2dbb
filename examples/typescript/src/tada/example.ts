// The same client with gql.tada: documents are written where they are used, and their types come from the schema
// without generated code for each document.
import { initGraphQLTada } from "gql.tada";
import type { VestibuleClient } from "../client/client";
import type { UploadFile } from "../client/upload";
import type { introspection } from "./graphql-env";

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { ID: string; DateTime: string; Date: string; Upload: UploadFile };
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

/** Changes the user's first name. Returns the full name, or errors that the user can fix. */
export async function rename(client: VestibuleClient, firstName: string): Promise<{ name: string } | { mend: string }> {
  const { updateMe } = await client.request(Rename, { firstName });
  const [error] = updateMe?.errors ?? [];
  if (error?.code === "TOO_LONG") return { mend: "A shorter name, please." };
  return error ? { mend: error.message } : { name: updateMe?.user?.name ?? "" };
}

/** Calls that the compiler rejects. */
export function refusals(client: VestibuleClient): void {
  // @ts-expect-error a variable of another type
  void client.request(Rename, { firstName: 1 });
  // @ts-expect-error no variables at all
  void client.request(Rename);
}
