import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import type { CompleteLoginInput, LoginInput, PasskeyAssertionInput, ProofInput, ProofMethod } from "../gql/graphql";
import {
  type AuthTokens,
  type CompleteSignInResult,
  Credentials,
  type PasskeySignInResult,
  type ProofErrors,
  type SessionState,
  type SignInResult,
} from "./credentials";
import {
  closedError,
  ConnectionError,
  delayOf,
  errorOf,
  type GraphQLResult,
  isUnauthenticated,
  type Received,
  VestibuleError,
} from "./errors";
import { type Sink, Socket } from "./socket";
import type { RefreshTokenStore } from "./store";
import { browserTabs, hasTabs, noTabs, type Tabs } from "./tabs";
import { type AnyDocument, httpTransport, operationOf, throwIfAborted, type Variables } from "./transport";

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
  /**
   * Longest `retryAfter` after which a query is sent again, in milliseconds. Longer ones are reported at once. Default:
   * 10 000; 0 reports all.
   */
  retryWithin?: number;
  /**
   * Asks the user for a proof of identity, for example in a dialog, when a sensitive operation is refused with
   * REAUTHENTICATION_REQUIRED. The operation is then sent once more. `errors` has the refusals of the last proof. Null
   * leaves the operation refused. Operations that are refused meanwhile share one prompt. A proof is a password, a code
   * of the authenticator app, a recovery code or a passkey. `methods` has those that the service accepts now; null if
   * the refused document does not select `methods` in its errors.
   */
  prove?: (errors: ProofErrors, methods: readonly ProofMethod[] | null) => Promise<ProofInput | null>;
}

/** Options of a request. */
export interface RequestOptions {
  /** Cancels the request. */
  signal?: AbortSignal;
}

/** Options of a request of an adapter. */
export interface ExecuteOptions extends RequestOptions {
  /** Name of the operation, if the document has several. */
  operationName?: string | null | undefined;
  /** More headers. With `authorization`, the request is sent once, and without the session. */
  headers?: Record<string, string>;
}

/** A client of one Vestibule service. */
export interface VestibuleClient {
  /** The session state as far as it is known. */
  readonly session: SessionState;
  /** Calls `listener` when another user, or no user, is signed in, in any tab. Returns a function that removes it. */
  onSessionChange(listener: (session: SessionState) => void): () => void;
  /** Restores the session after a page load. Throws if the service cannot be reached. */
  restore(): Promise<SessionState>;
  /**
   * Signs in with a password. Errors that the user can fix are in the payload's `errors`. If a second factor is due, the
   * payload has a `challenge`, and the session does not change: answer it with `completeSignIn`.
   */
  signIn(input: LoginInput): Promise<SignInResult>;
  /** Answers a challenge of `signIn` or `confirmReset` with a code or a passkey, and signs in. */
  completeSignIn(input: CompleteLoginInput): Promise<CompleteSignInResult>;
  /** Signs in with a passkey, as returned by `getPasskey` for the options of `startPasskeyLogin`. */
  signInWithPasskey(passkey: PasskeyAssertionInput): Promise<PasskeySignInResult>;
  /** Starts a session with tokens of `verifyEmail` or `confirmReset`. A store requires `refreshTokenIn: "BODY"`. */
  adopt(tokens: AuthTokens): Promise<void>;
  /** Signs out in all tabs. `everywhere` also ends the user's sessions on other devices. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;
  /** Returns a valid access token for requests outside GraphQL, such as exports; null if signed out. */
  accessToken(): Promise<string | null>;
  /** The data of a query or mutation. Throws `VestibuleError` for errors, `ConnectionError` without a response. */
  request<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    options?: RequestOptions,
  ): Promise<TData>;
  /** The same for a document that requires no variables. */
  request<TData>(document: TypedDocumentNode<TData, Record<string, never>>): Promise<TData>;
  /** Returns data and errors of a query or mutation, for adapters of other GraphQL clients. */
  execute<TData>(
    document: AnyDocument<TData>,
    variables?: Variables,
    options?: ExecuteOptions,
  ): Promise<GraphQLResult<TData>>;
  /** Passes each result of a subscription to `sink`, and reconnects if needed. Returns a function that ends it. */
  subscribe<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    sink: Sink<TData>,
  ): () => void;
  /** Subscribes to data and errors, for adapters of other GraphQL clients. */
  subscribeTo<TData>(
    document: AnyDocument<TData>,
    variables: Variables,
    sink: Sink<GraphQLResult<TData>>,
    operationName?: string | null,
  ): () => void;
  /**
   * Ends subscriptions and discards the tokens, without signing out. Requests that were sent continue; new calls fail.
   * A refresh, sign-in or sign-out under way ends first: when the promise resolves, its refresh token is stored, and the
   * other tabs have its session.
   */
  close(): Promise<void>;
}

/** Maximum number of times that a query is sent again after the delay that the service asked for. */
const REPEATS = 2;
/** Maximum random addition to a delay, in milliseconds, so that clients do not return at the same moment. */
const JITTER = 250;

/** Creates a client: access token in memory, refresh token in the cookie or in a store, one session in all tabs. */
export function createVestibuleClient(options: VestibuleOptions): VestibuleClient {
  const { url, store = null, now = () => Date.now(), patience = 15_000, retryWithin = 10_000 } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const tabs = options.tabs ?? (store === null && hasTabs() ? browserTabs(`vestibule ${url}`) : noTabs());
  const send = httpTransport(url, fetch, store === null);
  const credentials = new Credentials({ send, tabs, store, now, patience });
  let socket: Socket | null = null;
  let proving: Promise<boolean> | null = null;

  /** Sends a document, and once more with the next token if its token is refused. */
  async function authorized<TData>(document: AnyDocument<TData>, variables: Variables, requested: ExecuteOptions) {
    if (new Headers(requested.headers).has("authorization")) return send(document, variables, requested);
    const asked = credentials.state;
    const token = await credentials.token();
    const received = await send(document, variables, { ...requested, token });
    if (!isUnauthenticated(received.result)) return received;
    const isMutation = operationOf(document, requested.operationName) === "mutation";
    if (isMutation && didSomething(received.result)) return received;
    const renewed = await credentials.renew(token);
    if (renewed === null || renewed === token || isOther(asked, credentials.state)) return received;
    return send(document, variables, { ...requested, token: renewed });
  }

  /** Sends a document, and a refused sensitive mutation once more after a proof of identity. */
  async function proved<TData>(document: AnyDocument<TData>, variables: Variables, requested: ExecuteOptions) {
    const received = await authorized(document, variables, requested);
    if (options.prove === undefined || !needsProof(received.result)) return received;
    const asked = credentials.state;
    proving ??= askForProof(options.prove, methodsOf(received.result)).finally(() => {
      proving = null;
    });
    if (!(await proving) || isOther(asked, credentials.state)) return received;
    throwIfAborted(requested.signal);
    return authorized(document, variables, requested);
  }

  /** Prompts until a proof is accepted. Returns false if the user gives up. */
  async function askForProof(
    prove: NonNullable<VestibuleOptions["prove"]>,
    methods: readonly ProofMethod[] | null,
  ): Promise<boolean> {
    let errors: ProofErrors = [];
    for (;;) {
      const proof = await prove(errors, methods);
      if (proof === null) return false;
      await credentials.token();
      errors = await credentials.reauthenticate(proof);
      if (errors.length === 0) return true;
    }
  }

  /** Sends a document. A query is sent again after the delay that the service asks for, unless the delay is long. */
  async function receive<TData>(
    document: AnyDocument<TData>,
    variables: Variables = {},
    requested: ExecuteOptions = {},
    // A mutation may have been executed in spite of the error.
    repeats = operationOf(document, requested.operationName) === "query" ? REPEATS : 0,
  ): Promise<Received<TData>> {
    const mayRepeat = (seconds: number | undefined): seconds is number =>
      seconds !== undefined && repeats > 0 && seconds * 1000 <= retryWithin;
    let seconds: number | undefined;
    try {
      const received = await proved(document, variables, requested);
      seconds = delayOf(received.result.errors ?? [], received.http);
      if (!mayRepeat(seconds)) return received;
    } catch (error) {
      seconds = delayAfter(error);
      if (!mayRepeat(seconds)) throw error;
    }
    await pause(seconds * 1000 + Math.random() * JITTER, requested.signal);
    return receive(document, variables, requested, repeats - 1);
  }

  function subscribeTo<TData>(
    document: AnyDocument<TData>,
    variables: Variables,
    sink: Sink<GraphQLResult<TData>>,
    operationName?: string | null,
  ): () => void {
    if (credentials.isClosed) {
      sink.error?.(closedError());
      return () => undefined;
    }
    socket ??= new Socket(url.replace(/^http/, "ws"), credentials, options.webSocket ?? globalThis.WebSocket, now);
    return socket.subscribe(document, variables, sink, operationName);
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
    completeSignIn: (input) => credentials.completeSignIn(input),
    signInWithPasskey: (passkey) => credentials.signInWithPasskey(passkey),
    adopt: (tokens) => credentials.adopt(tokens),
    signOut: ({ everywhere = false } = {}) => credentials.signOut(everywhere),
    accessToken: () => (credentials.state.status === "unknown" ? credentials.renew(null) : credentials.token()),
    async request<TData, TVariables extends Variables>(
      document: TypedDocumentNode<TData, TVariables>,
      variables?: TVariables,
      requested?: RequestOptions,
    ): Promise<TData> {
      const received = await receive(document, variables, requested);
      if (!isComplete(received.result)) throw errorOf(received);
      return received.result.data;
    },
    async execute(document, variables, requested) {
      return (await receive(document, variables, requested)).result;
    },
    subscribe(document, variables, sink) {
      const end = subscribeTo(document, variables, {
        next(result) {
          if (isComplete(result)) {
            sink.next(result.data);
          } else {
            end();
            sink.error?.(new VestibuleError(result.errors ?? [], result.data));
          }
        },
        error: (error) => sink.error?.(error),
        complete: () => sink.complete?.(),
      });
      return end;
    },
    subscribeTo,
    async close() {
      socket?.close();
      await credentials.close();
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

/** True if each field of a mutation was refused for want of a recent proof of identity, so that nothing was done. */
function needsProof({ data }: GraphQLResult): boolean {
  if (typeof data !== "object" || data === null) return false;
  const fields: unknown[] = Object.values(data);
  return fields.length > 0 && fields.every((field) => codesOf(field).includes("REAUTHENTICATION_REQUIRED"));
}

/** The methods of a proof that the service accepts; null if the document does not select them. */
function methodsOf({ data }: GraphQLResult): readonly ProofMethod[] | null {
  if (typeof data !== "object" || data === null) return null;
  const methods = Object.values(data).flatMap(errorsOf).map((error) => error?.methods);
  return methods.find((accepted) => Array.isArray(accepted)) ?? null;
}

/** The codes of a payload's errors, as far as the document selects them. */
function codesOf(payload: unknown): unknown[] {
  return errorsOf(payload).map((error) => error?.code);
}

/** A user error, as far as the document selects it. */
type SelectedError = { code?: unknown; methods?: readonly ProofMethod[] | null } | null;

/** The errors of a payload. */
function errorsOf(payload: unknown): SelectedError[] {
  if (typeof payload !== "object" || payload === null || !("errors" in payload)) return [];
  return Array.isArray(payload.errors) ? payload.errors.map((error: SelectedError) => error) : [];
}

/** True for a result with data and without errors. */
function isComplete<TData>(result: GraphQLResult<TData>): result is GraphQLResult<TData> & { data: TData } {
  return result.errors === undefined && result.data !== undefined && result.data !== null;
}

/** Returns the seconds that the service asked to wait: in a failed refresh, or as a proxy in its place. */
function delayAfter(error: unknown): number | undefined {
  return error instanceof VestibuleError || error instanceof ConnectionError ? error.retryAfter : undefined;
}

/** Waits; throws if the request is cancelled. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
  throwIfAborted(signal);
}
