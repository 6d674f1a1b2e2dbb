import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import type { DocumentNode } from "graphql";
import type { LoginInput } from "../gql/graphql";
import { type AuthTokens, Credentials, type SessionState, type SignInResult } from "./credentials";
import { type GraphQLResult, isUnauthenticated, VestibuleError } from "./errors";
import { type Sink, Socket } from "./socket";
import type { RefreshTokenStore } from "./store";
import { browserTabs, hasTabs, noTabs, type Tabs } from "./tabs";
import { httpTransport, operationOf, type Variables } from "./transport";

/** Options of `createVestibuleClient`. */
export interface VestibuleOptions {
  /** URL of the service, such as `https://id.example.com/graphql`. */
  url: string;
  /** Store of the refresh token. Default: the browser's cookie. */
  store?: RefreshTokenStore;
  /** Coordination of tabs. Default: the browser's tabs, unless there is a `store`, as each tab may have another. */
  tabs?: Tabs;
  /** Replacement for the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Replacement for the global `WebSocket`, which Node has since version 22. */
  webSocket?: unknown;
  /** Replacement for the system clock. */
  now?: () => number;
  /** Timeout of sign-in, refresh and sign-out, in milliseconds. Default: 15 000. */
  patience?: number;
}

/** Options of a request. */
export interface RequestOptions {
  /** Cancels the request. */
  signal?: AbortSignal;
}

/** The variables of a document; optional if the document requires none. */
export type VariablesOf<TVariables> = Record<string, never> extends TVariables
  ? [variables?: TVariables, options?: RequestOptions]
  : [variables: TVariables, options?: RequestOptions];

/** A client of one Vestibule service. */
export interface VestibuleClient {
  /** The session state as far as it is known. */
  readonly session: SessionState;
  /** Calls `listener` when another user, or no user, is signed in, in any tab. Returns a function that removes it. */
  onSessionChange(listener: (session: SessionState) => void): () => void;
  /** Restores the session after a page load. Throws if the service cannot be reached. */
  restore(): Promise<SessionState>;
  /** Signs in with a password. Errors that the user can fix are in the payload's `errors`. */
  signIn(input: LoginInput): Promise<SignInResult>;
  /** Starts a session with tokens of `verifyEmail` or `confirmReset`. A store requires `refreshTokenIn: "BODY"`. */
  adopt(tokens: AuthTokens): Promise<void>;
  /** Signs out in all tabs. `everywhere` also ends the user's sessions on other devices. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;
  /** The data of a query or mutation. Throws `VestibuleError` for errors, `ConnectionError` without a response. */
  request<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    ...rest: VariablesOf<TVariables>
  ): Promise<TData>;
  /** Returns data and errors of a query or mutation, for adapters of other GraphQL clients. */
  execute(document: DocumentNode, variables?: Variables, options?: RequestOptions): Promise<GraphQLResult>;
  /** Passes each result of a subscription to `sink`, and reconnects if needed. Returns a function that ends it. */
  subscribe<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    sink: Sink<TData>,
  ): () => void;
  /** Subscribes to data and errors, for adapters of other GraphQL clients. */
  subscribeTo(document: DocumentNode, variables: Variables, sink: Sink<GraphQLResult>): () => void;
  /** Ends subscriptions and discards the tokens, without signing out. */
  close(): void;
}

/** Creates a client: access token in memory, refresh token in the cookie or in a store, one session in all tabs. */
export function createVestibuleClient(options: VestibuleOptions): VestibuleClient {
  const { url, store = null, now = Date.now, patience = 15_000 } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const tabs = options.tabs ?? (store === null && hasTabs() ? browserTabs(`vestibule ${url}`) : noTabs());
  const send = httpTransport(url, fetch, store === null);
  const credentials = new Credentials({ send, tabs, store, now, patience });
  let socket: Socket | null = null;

  async function execute(document: DocumentNode, variables: Variables = {}, { signal }: RequestOptions = {}) {
    const asked = credentials.state;
    const token = await credentials.token();
    const result = await send(document, variables, { token, signal });
    if (!isUnauthenticated(result) || (operationOf(document) === "mutation" && didSomething(result))) return result;
    const renewed = await credentials.renew(token);
    if (renewed === null || renewed === token || isOther(asked, credentials.state)) return result;
    return send(document, variables, { token: renewed, signal });
  }

  function subscribeTo(document: DocumentNode, variables: Variables, sink: Sink<GraphQLResult>) {
    socket ??= new Socket(url.replace(/^http/, "ws"), credentials, options.webSocket ?? globalThis.WebSocket, now);
    return socket.subscribe(document, variables, sink);
  }

  return {
    get session() {
      return credentials.state;
    },
    onSessionChange: (listener) => credentials.onChange(listener),
    async restore() {
      if (credentials.state.status === "unknown") await credentials.renew(null);
      return credentials.state;
    },
    signIn: (input) => credentials.signIn(input),
    adopt: (tokens) => credentials.adopt(tokens),
    signOut: ({ everywhere = false } = {}) => credentials.signOut(everywhere),
    async request(document, ...[variables, requestOptions]) {
      return dataOf(await execute(document, variables, requestOptions), document);
    },
    execute,
    subscribe(document, variables, sink) {
      const end = subscribeTo(document, variables, {
        ...sink,
        next(result) {
          if (!failed(result)) return sink.next(dataOf(result, document));
          end();
          sink.error?.(new VestibuleError(result.errors ?? [], result.data));
        },
      });
      return end;
    },
    subscribeTo,
    close() {
      socket?.close();
      credentials.close();
    },
  };
}

/** True if another user has signed in since the request was sent. It must not be repeated as that user. */
function isOther(before: SessionState, after: SessionState): boolean {
  return before.status === "signedIn" && (after.status !== "signedIn" || after.userId !== before.userId);
}

/** True if a field of a mutation was executed, which must not happen twice. */
function didSomething({ data }: GraphQLResult): boolean {
  return typeof data === "object" && data !== null && Object.values(data).some((field) => field !== null);
}

function failed(result: GraphQLResult): boolean {
  return result.errors !== undefined || !result.data;
}

/** Casts the data to the type of the document, which is generated from the schema of the service. */
function dataOf<TData>(result: GraphQLResult, _document: TypedDocumentNode<TData, never>): TData {
  if (failed(result)) throw new VestibuleError(result.errors ?? [], result.data);
  return result.data as TData;
}
