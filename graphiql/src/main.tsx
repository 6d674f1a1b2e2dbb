import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./page.css";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import type { Fetcher } from "@graphiql/toolkit";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { GraphQLError } from "graphql";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { createVestibuleClient } from "vestibule";
import { Bar } from "./bar";
import { EXAMPLES_PLUGIN } from "./examples-plugin";
import { FIRST } from "./examples";
import { fetcherOf } from "./fetcher";

// The public URL may have a path. Each response is shown as it is, without a retry.
const path = `${location.pathname.replace(/\/graphiql\/?$/, "")}/graphql`;
const client = createVestibuleClient({ url: new URL(path, location.origin).href, retryWithin: 0 });
const send = fetcherOf(client);
const plugins = [EXAMPLES_PLUGIN, explorerPlugin(), HISTORY_PLUGIN];
const tabs = FIRST.map(({ query, variables }) => ({ query, variables }));

/** The fetcher. It also reports whether the service returned its schema. */
function noticing(tell: (hasSchema: boolean) => void): Fetcher {
  return (async (...parameters: Parameters<typeof send>) => {
    const answer = await send(...parameters);
    if (parameters[0].operationName !== "IntrospectionQuery") return answer;
    const schema = (answer as { data?: { __schema?: object | null } | null }).data?.__schema;
    tell(Boolean(schema));
    return schema ? answer : { data: {}, errors: [new GraphQLError("This service does not publish its schema.")] };
  }) as Fetcher;
}

function Page() {
  const [hasSchema, setHasSchema] = useState(true);
  const [fetcher] = useState(() => noticing(setHasSchema));
  return (
    <>
      <Bar client={client} />
      {!hasSchema && (
        <p className="bar notice" role="status">
          This service does not publish its schema (VESTIBULE_INTROSPECTION). Operations can be run, but documentation and
          completion are not available.
        </p>
      )}
      <main>
        <GraphiQL fetcher={fetcher} defaultTabs={tabs} plugins={plugins} defaultEditorToolsVisibility={true}>
          <GraphiQL.Logo>Vestibule</GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

// Without the service, the page shows the sign-in form.
client.restore().catch(() => undefined);
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
