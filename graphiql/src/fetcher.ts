import { createGraphiQLFetcher, type Fetcher, type FetcherParams } from "@graphiql/toolkit";
import { type DocumentNode, Kind, parse } from "graphql";
import { createClient } from "graphql-ws";
import type { Session } from "./session";

/** Close code for an invalid or expired token. */
const FORBIDDEN = 4403;
/** Time to wait after a failed refresh, and maximum delay of timers, in milliseconds. */
const AGAIN = 5_000;
const LONGEST = 2 ** 31 - 1;

/** Sends GraphiQL's operations with the session's token; subscriptions share one WebSocket. */
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
  // The next user must not receive results of the previous one.
  session.onChange(() => {
    open = null;
    wsClient.terminate();
  });
  session.onToken(prolong);

  /** Keeps the connection open: refreshes the token in time and sends it in a ping. */
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
    // A successful refresh calls this again.
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

/** Sets the operation name, because GraphiQL updates it late and may send that of the previous tab. */
function named(parameters: FetcherParams, document: DocumentNode | undefined): FetcherParams {
  const operations = document?.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION) ?? [];
  return operations.length === 1 ? { ...parameters, operationName: operations[0]?.name?.value ?? null } : parameters;
}
