import type { GraphQLFormattedError } from "graphql";
import { type Client, createClient } from "graphql-ws";
import type { AccessToken, Credentials, SessionState } from "./credentials";
import { ConnectionError, type GraphQLResult, signedOutError, VestibuleError } from "./errors";
import { type AnyDocument, documentText, type Variables } from "./transport";

/** Close code for an invalid or expired token, or an ended session. */
const FORBIDDEN = 4403;
/** Time without messages before a ping is sent, in milliseconds. */
const KEEP_ALIVE = 20_000;
/** Timeout for the pong, in milliseconds. */
const PATIENCE = 10_000;
/** Time to wait after a failed refresh, in milliseconds. */
const AGAIN = 5_000;
/** Maximum delay of timers in browsers. */
const LONGEST = 2 ** 31 - 1;

/** The receiver of a subscription. */
export interface Sink<T> {
  /** A new result. */
  next(value: T): void;
  /** The subscription failed; no more results follow. */
  error?(error: Error): void;
  /** The subscription ended; no more results follow. */
  complete?(): void;
}

/**
 * Subscriptions over one WebSocket, opened with the first and closed after the last. The service closes it when its
 * access token expires, so the token is refreshed in time and sent in a ping.
 */
export class Socket {
  readonly #client: Client;
  readonly #credentials: Credentials;
  readonly #now: () => number;
  #open: WebSocket | null = null;
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #sent: string | null = null;
  #refused = false;
  #user: string | null = null;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, credentials: Credentials, webSocketImpl: unknown, now: () => number) {
    this.#credentials = credentials;
    this.#now = now;
    this.#client = createClient({
      url,
      webSocketImpl,
      lazy: true,
      keepAlive: KEEP_ALIVE,
      // Includes the plain error events of browsers, such as for a missing network.
      shouldRetry: (reason) => !(reason instanceof NobodySignedIn),
      retryAttempts: Number.POSITIVE_INFINITY,
      retryWait: (retries) => delay(Math.min(30_000, 500 * 2 ** retries) * (0.5 + Math.random() / 2)),
      connectionParams: async () => {
        const held = this.#refused ? null : await credentials.token();
        const token = held ?? (await credentials.renew(this.#sent));
        if (token === null) throw new NobodySignedIn();
        this.#refused = false;
        this.#sent = token;
        this.#user = userOf(credentials.state);
        return { Authorization: `Bearer ${token}` };
      },
      on: {
        // A missing pong reveals a connection that was lost silently.
        ping: (received) => {
          if (!received) this.#deadline = setTimeout(() => this.#client.terminate(), PATIENCE);
        },
        pong: (received) => {
          if (received) clearTimeout(this.#deadline);
        },
        connected: (socket) => {
          this.#open = socket as WebSocket;
          // Another tab may have refreshed since this connection got its token.
          if (credentials.access !== null) this.#prolong(credentials.access);
        },
        closed: (event) => {
          clearTimeout(this.#deadline);
          clearTimeout(this.#refresh);
          this.#open = null;
          this.#refused = (event as { code?: number }).code === FORBIDDEN;
        },
      },
    });
    credentials.onAccess((access) => this.#prolong(access));
    // The next user must not receive results of the previous one.
    credentials.onChange((state) => {
      if (this.#user !== null && this.#user !== userOf(state)) this.#client.terminate();
    });
  }

  /** Passes each result to `sink`. Returns a function that ends the subscription. */
  subscribe<TData>(
    document: AnyDocument<TData>,
    variables: Variables,
    sink: Sink<GraphQLResult<TData>>,
    operationName?: string | null,
  ): () => void {
    return this.#client.subscribe<TData>(
      { query: documentText(document), variables: { ...variables }, operationName },
      {
        next: (result) => sink.next(result),
        error: (error) => sink.error?.(understood(error)),
        complete: () => sink.complete?.(),
      },
    );
  }

  /** Ends all subscriptions. */
  close(): void {
    clearTimeout(this.#refresh);
    // It rejects if a connection fails at this moment.
    void Promise.resolve(this.#client.dispose()).catch(() => undefined);
  }

  /** Sends a newer token of the same user over the open connection, and schedules the next refresh. */
  #prolong(access: AccessToken): void {
    if (this.#open === null || this.#user !== userOf(this.#credentials.state)) return;
    if (access.token !== this.#sent) {
      this.#sent = access.token;
      const payload = { Authorization: `Bearer ${access.token}` };
      this.#open.send(JSON.stringify({ type: "ping", payload }));
    }
    this.#refreshIn(access.refreshAt - this.#now());
  }

  #refreshIn(milliseconds: number): void {
    clearTimeout(this.#refresh);
    if (!Number.isFinite(milliseconds)) return;
    this.#refresh = setTimeout(
      () => {
        // A new token arrives by `onAccess`. Without one, the connection ends, and reopens once a token is available.
        const before = this.#sent;
        void this.#credentials.token().catch(() => undefined).then(() => {
          if (this.#open !== null && this.#sent === before) this.#refreshIn(AGAIN);
        });
      },
      Math.min(Math.max(milliseconds, 0), LONGEST),
    );
  }
}

/** Not a `VestibuleError`: graphql-ws takes objects with `code` and `reason` for a lost connection, and retries. */
class NobodySignedIn extends Error {}

/** graphql-ws throws lists of errors, close events, and errors thrown by `connectionParams`. */
function understood(error: unknown): Error {
  if (Array.isArray(error)) return new VestibuleError(error as GraphQLFormattedError[]);
  if (error instanceof NobodySignedIn) return signedOutError();
  return new ConnectionError("The connection for subscriptions was closed.", { cause: error });
}

function userOf(state: SessionState): string | null {
  return state.status === "signedIn" ? state.userId : null;
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
