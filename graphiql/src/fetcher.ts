import { createGraphiQLFetcher, type Fetcher, type FetcherParams } from "@graphiql/toolkit";
import { type DocumentNode, Kind, parse } from "graphql";
import { createClient } from "graphql-ws";
import type { Session } from "./session";

/** The close code by which the service says that the token does not hold, or ran out. */
const FORBIDDEN = 4403;
/** How long after a refresh that failed the next is tried, and the longest time that timers take, in milliseconds. */
const AGAIN = 5_000;
const LONGEST = 2 ** 31 - 1;

/** Sends GraphiQL's operations: with the session's token, subscriptions by one WebSocket. */
export function fetcherOf(session: Session): Fetcher {
  let refused = false;
  let open: WebSocket | null = null;
  let sent: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wsClient = createClient({
    url: new URL(session.url, location.href).href.replace(/^http/, "ws"),
    connectionParams: async () => {
      if (refused) await session.refresh();
      refused = false;
      const token = await session.token();
      sent = token;
      return token === null ? {} : { Authorization: `Bearer ${token}` };
    },
    on: {
      connected: (socket) => {
        open = socket as WebSocket;
        prolong();
      },
      closed: (event) => {
        open = null;
        clearTimeout(timer);
        refused = (event as CloseEvent).code === FORBIDDEN;
      },
    },
  });
  // Whoever signs in next must not go on hearing what the one before was told.
  session.onChange(() => {
    open = null;
    wsClient.terminate();
  });
  session.onToken(prolong);

  /** The service closes the connection when its token runs out: sends a newer one in a ping, and refreshes in time. */
  function prolong(): void {
    clearTimeout(timer);
    const token = session.held;
    if (open === null || token === null) return;
    const isNew = token !== sent;
    if (isNew) {
      sent = token;
      open.send(JSON.stringify({ type: "ping", payload: { Authorization: `Bearer ${token}` } }));
    }
    const wait = session.refreshAt - Date.now();
    // A refresh that succeeds calls this again.
    if (Number.isFinite(wait)) timer = setTimeout(renew, Math.min(Math.max(wait, 0), LONGEST));
  }

  function renew(): void {
    const before = sent;
    void session.token().then((token) => {
      if (open !== null && token === before) timer = setTimeout(renew, AGAIN);
    });
  }

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
