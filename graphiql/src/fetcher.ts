import { createGraphiQLFetcher, type Fetcher, type FetcherParams } from "@graphiql/toolkit";
import { type DocumentNode, Kind, parse } from "graphql";
import { createClient } from "graphql-ws";
import type { Session } from "./session";

/** The close code by which the service says that the token does not hold. */
const FORBIDDEN = 4403;

/** Sends GraphiQL's operations: with the session's token, subscriptions by one WebSocket. */
export function fetcherOf(session: Session): Fetcher {
  let refused = false;
  const wsClient = createClient({
    url: new URL(session.url, location.href).href.replace(/^http/, "ws"),
    connectionParams: async () => {
      if (refused) await session.refresh();
      refused = false;
      const token = await session.token();
      return token === null ? {} : { Authorization: `Bearer ${token}` };
    },
    on: {
      closed: (event) => {
        refused = (event as CloseEvent).code === FORBIDDEN;
      },
    },
  });
  // Whoever signs in next must not go on hearing what the one before was told.
  session.onChange(() => wsClient.terminate());
  const send = createGraphiQLFetcher({
    url: session.url,
    fetch: session.fetch,
    wsClient,
    enableIncrementalDelivery: false,
  });
  return (parameters, options) => {
    const documentAST = read(parameters.query);
    return send(named(parameters, documentAST), documentAST ? { ...options, documentAST } : options);
  };
}

function read(query: string): DocumentNode | undefined {
  try {
    return parse(query);
  } catch {
    return undefined;
  }
}

/** What GraphiQL knows of a document comes a moment after its text: who runs a tab at once gets the name of the last. */
function named(parameters: FetcherParams, document: DocumentNode | undefined): FetcherParams {
  const operations = document?.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION) ?? [];
  return operations.length === 1 ? { ...parameters, operationName: operations[0]?.name?.value ?? null } : parameters;
}
