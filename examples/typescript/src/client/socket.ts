import type { DocumentNode } from "graphql";
import { type Client, createClient } from "graphql-ws";
import type { AccessToken, Credentials, SessionState } from "./credentials";
import { ConnectionError, type GraphQLResult, signedOutError, VestibuleError } from "./errors";
import { documentText, type Variables } from "./transport";

/** The close code by which the service says that the token does not hold or ran out, or that the session has ended. */
const FORBIDDEN = 4403;
/** How long a connection may be silent before it is asked whether it lives, in milliseconds. */
const KEEP_ALIVE = 20_000;
/** How long the answer may take. */
const PATIENCE = 10_000;
/** How long after a refresh that failed the next is tried, in milliseconds. */
const AGAIN = 5_000;
/** The longest time that timers of browsers take. */
const LONGEST = 2 ** 31 - 1;

/** Who hears what a subscription says. */
export interface Sink<T> {
  /** Something new. */
  next(value: T): void;
  /** The subscription failed; nothing more will come. */
  error?(error: Error): void;
  /** The subscription ended; nothing more will come. */
  complete?(): void;
}

/**
 * Subscriptions over one WebSocket, opened with the first and closed after the last. The service closes it when its access
 * token runs out, so it is refreshed in time and the new token sent in a ping.
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
      // Also what browsers report as a mere error event, such as a network that is away.
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
        // A connection that was lost without a word is noticed by the answer that does not come.
        ping: (received) => {
          if (!received) this.#deadline = setTimeout(() => this.#client.terminate(), PATIENCE);
        },
        pong: (received) => {
          if (received) clearTimeout(this.#deadline);
        },
        connected: (socket) => {
          this.#open = socket as WebSocket;
          // Another tab may have refreshed since the token of this connection was chosen.
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
    // Whoever signs in next must not go on hearing what the one before was told.
    credentials.onChange((state) => {
      if (this.#user !== null && this.#user !== userOf(state)) this.#client.terminate();
    });
  }

  /** Tells `sink` what the subscription says; returns how to end it. */
  subscribe(document: DocumentNode, variables: Variables, sink: Sink<GraphQLResult>): () => void {
    return this.#client.subscribe(
      { query: documentText(document), variables: { ...variables } },
      {
        next: (result) => sink.next(result as GraphQLResult),
        error: (error) => sink.error?.(understood(error)),
        complete: () => sink.complete?.(),
      },
    );
  }

  /** Ends all subscriptions. */
  close(): void {
    clearTimeout(this.#refresh);
    void this.#client.dispose();
  }

  /** Sends a newer token of the same user over the open connection, and sees to it that there will be a next one. */
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
        // A new token comes by `onAccess`. Without one the connection ends, and is made anew once there is one.
        const before = this.#sent;
        void this.#credentials.token().catch(() => undefined).then(() => {
          if (this.#open !== null && this.#sent === before) this.#refreshIn(AGAIN);
        });
      },
      Math.min(Math.max(milliseconds, 0), LONGEST),
    );
  }
}

/** Not a `VestibuleError`: graphql-ws takes whatever has `code` and `reason` for a lost connection, and tries again. */
class NobodySignedIn extends Error {}

/** graphql-ws throws lists of errors, close events, and what `connectionParams` threw. */
function understood(error: unknown): Error {
  if (Array.isArray(error)) return new VestibuleError(error);
  if (error instanceof NobodySignedIn) return signedOutError();
  return new ConnectionError("The connection for subscriptions ended.", { cause: error });
}

function userOf(state: SessionState): string | null {
  return state.status === "signedIn" ? state.userId : null;
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
