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
import { Bar } from "./bar";
import { EXAMPLES_PLUGIN } from "./examples-plugin";
import { FIRST } from "./examples";
import { fetcherOf } from "./fetcher";
import { Session } from "./session";

// The service may be under a path of its host.
const session = new Session(location.pathname.replace(/\/graphiql\/?$/, "") + "/graphql");
const send = fetcherOf(session);
const plugins = [EXAMPLES_PLUGIN, explorerPlugin(), HISTORY_PLUGIN];
const tabs = FIRST.map(({ query, variables }) => ({ query, variables }));

/** The fetcher, which also tells whether the service answered with its schema. */
function noticing(tell: (hasSchema: boolean) => void): Fetcher {
  return (async (...parameters: Parameters<typeof send>) => {
    const answer = await send(...parameters);
    if (parameters[0].operationName !== "IntrospectionQuery") return answer;
    const schema = (answer as { data?: { __schema?: object | null } | null }).data?.__schema;
    tell(Boolean(schema));
    return schema ? answer : { data: {}, errors: [new GraphQLError("This service does not tell its schema.")] };
  }) as Fetcher;
}

function Page() {
  const [hasSchema, setHasSchema] = useState(true);
  const [fetcher] = useState(() => noticing(setHasSchema));
  return (
    <>
      <Bar session={session} />
      {!hasSchema && (
        <p className="bar notice" role="status">
          This service does not tell its schema (VESTIBULE_INTROSPECTION): operations can be run, but not looked up or
          completed.
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

void session.refresh();
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
