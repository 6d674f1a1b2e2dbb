import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import type { DocumentNode } from "graphql";
import type { LoginInput } from "../gql/graphql";
import { type AuthTokens, Credentials, type SessionState, type SignInResult } from "./credentials";
import { type GraphQLResult, isUnauthenticated, VestibuleError } from "./errors";
import { type Sink, Socket } from "./socket";
import type { RefreshTokenStore } from "./store";
import { browserTabs, hasTabs, noTabs, type Tabs } from "./tabs";
import { httpTransport, operationOf, type Variables } from "./transport";

/** What `createVestibuleClient` can be told. */
export interface VestibuleOptions {
  /** The service's endpoint, such as `https://id.example.com/graphql`. */
  url: string;
  /** Where to keep the refresh token; without it, the browser's cookie serves. */
  store?: RefreshTokenStore;
  /** How tabs agree. By default those of a browser do, unless there is a store, which each tab may have for itself. */
  tabs?: Tabs;
  /** Instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Instead of the global `WebSocket`, which Node has from version 22 on. */
  webSocket?: unknown;
  /** Instead of the clock. */
  now?: () => number;
  /** How long signing in, refreshing and signing out may take, in milliseconds: 15 000 if not given. */
  patience?: number;
}

/** How a request is made. */
export interface RequestOptions {
  /** Ends the request early. */
  signal?: AbortSignal;
}

/** The variables of a document: they may be left out where none is needed. */
export type VariablesOf<TVariables> = Record<string, never> extends TVariables
  ? [variables?: TVariables, options?: RequestOptions]
  : [variables: TVariables, options?: RequestOptions];

/** A client of one Vestibule service. */
export interface VestibuleClient {
  /** Who is signed in, as far as is known. */
  readonly session: SessionState;
  /** Calls `listener` whenever that changes, in whichever tab; returns how to stop that. */
  onSessionChange(listener: (session: SessionState) => void): () => void;
  /** Finds out at a page's start whether somebody is signed in. Throws if the service cannot be reached. */
  restore(): Promise<SessionState>;
  /** Signs in with a password; the payload's `errors` say what the person can mend. */
  signIn(input: LoginInput): Promise<SignInResult>;
  /** Takes over the tokens that `verifyEmail` or `confirmReset` gave; with a store, ask for `refreshTokenIn: "BODY"`. */
  adopt(tokens: AuthTokens): Promise<void>;
  /** Signs out, in all tabs; `everywhere` ends the user's sessions on other devices too. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;
  /** The data of a query or mutation; throws `VestibuleError` if there are errors, `ConnectionError` without answer. */
  request<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    ...rest: VariablesOf<TVariables>
  ): Promise<TData>;
  /** Data and errors of a query or mutation, as other GraphQL clients want them. */
  execute(document: DocumentNode, variables?: Variables, options?: RequestOptions): Promise<GraphQLResult>;
  /** Tells `sink` what a subscription says, each time; returns how to end it. It outlives lost connections. */
  subscribe<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    sink: Sink<TData>,
  ): () => void;
  /** Data and errors of a subscription, as other GraphQL clients want them. */
  subscribeTo(document: DocumentNode, variables: Variables, sink: Sink<GraphQLResult>): () => void;
  /** Ends subscriptions and forgets the tokens, without signing out. */
  close(): void;
}

/** Makes a client: access token in memory, refresh token in the cookie or in a store, one session in all tabs. */
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

/** Whether another user is signed in than when the request was made: then it is not that one's request to repeat. */
function isOther(before: SessionState, after: SessionState): boolean {
  return before.status === "signedIn" && (after.status !== "signedIn" || after.userId !== before.userId);
}

/** Whether some field of a mutation was carried out, which must not happen twice. */
function didSomething({ data }: GraphQLResult): boolean {
  return typeof data === "object" && data !== null && Object.values(data).some((field) => field !== null);
}

function failed(result: GraphQLResult): boolean {
  return result.errors !== undefined || !result.data;
}

/** The document says what type the data has: the types are generated from the schema that the service has. */
function dataOf<TData>(result: GraphQLResult, _document: TypedDocumentNode<TData, never>): TData {
  if (failed(result)) throw new VestibuleError(result.errors ?? [], result.data);
  return result.data as TData;
}
