import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import {
  CompleteLoginDocument,
  type CompleteLoginInput,
  type CompleteLoginMutation,
  LoginDocument,
  type LoginInput,
  type LoginMutation,
  LoginWithPasskeyDocument,
  type LoginWithPasskeyMutation,
  LogoutDocument,
  MeDocument,
  type PasskeyAssertionInput,
  type ProofInput,
  ReauthenticateDocument,
  type ReauthenticateMutation,
  RefreshDocument,
  type RefreshMutation,
  type RefreshMutationVariables,
  type RefreshTokenTransport,
} from "../gql/graphql";
import { closedError, ConnectionError, errorOf, isUnauthenticated, type Received, VestibuleError } from "./errors";
import type { RefreshTokenStore } from "./store";
import type { TabMessage, Tabs } from "./tabs";
import type { Send, Variables } from "./transport";

/** An access token and its times. */
export interface AccessToken {
  /** For the header `Authorization: Bearer …`. */
  token: string;
  /** Expiry, in milliseconds since 1970. */
  expiresAt: number;
  /** Time of the next refresh, in milliseconds since 1970. */
  refreshAt: number;
}

/** The session state. `unknown` is the state after a page load, because scripts cannot read the cookie. */
export type SessionState =
  | { readonly status: "unknown" | "signedOut" }
  | { readonly status: "signedIn"; readonly userId: string };

/** Result of signing in: the user, a `challenge` if a second factor is due, or errors that the user can fix. */
export type SignInResult = NonNullable<LoginMutation["login"]>;

/** A challenge: the methods that answer it, and its token for `completeSignIn`. */
export type SignInChallenge = NonNullable<SignInResult["challenge"]>;

/** Result of answering a challenge: the user, or errors that the user can fix. */
export type CompleteSignInResult = NonNullable<CompleteLoginMutation["completeLogin"]>;

/** Result of signing in with a passkey: the user, or errors that the user can fix. */
export type PasskeySignInResult = NonNullable<LoginWithPasskeyMutation["loginWithPasskey"]>;

/** Tokens as returned by every mutation that signs in. */
export type AuthTokens = NonNullable<SignInResult["tokens"]>;

/** Errors of a refused proof of identity. */
export type ProofErrors = NonNullable<ReauthenticateMutation["reauthenticate"]>["errors"];

/** The part of every result of signing in that starts the session. */
type SignedIn = Pick<SignInResult, "tokens" | "user">;

/** New tokens of a session. A proof of identity returns no refresh token: the last one stays valid. */
type NewTokens = Pick<AuthTokens, "accessToken" | "accessExpiresAt"> & Partial<Pick<AuthTokens, "refreshToken">>;

/** Dependencies of `Credentials`. */
export interface CredentialsSetup {
  send: Send;
  tabs: Tabs;
  store: RefreshTokenStore | null;
  /** The current time in milliseconds since 1970. */
  now: () => number;
  /** Timeout of sign-in, refresh and sign-out, in milliseconds. */
  patience: number;
}

/** Maximum time before its expiry at which a token is replaced, in milliseconds. */
const LEEWAY = 30_000;
/** Time to wait for the tokens of a tab that has just refreshed, in milliseconds. */
const HEARSAY = 300;

/**
 * The tokens of one session, shared by all tabs. Changes run one at a time over all tabs. So a refresh cannot overtake
 * a sign-out, and a refresh token is sent once.
 */
export class Credentials {
  #state: SessionState = { status: "unknown" };
  #access: AccessToken | null = null;
  #refreshing: Promise<string | null> | null = null;
  /** The last failure of a refresh that asked for a delay. Until then, no refresh is sent. */
  #postponed: { until: number; error: VestibuleError | ConnectionError } | null = null;
  #closing: Promise<void> | null = null;
  /** Changes of the session under way. `close` waits for them. */
  readonly #changes = new Set<Promise<unknown>>();
  readonly #listeners = new Set<(state: SessionState) => void>();
  readonly #accessListeners = new Set<(access: AccessToken) => void>();
  readonly #waiting = new Set<() => void>();
  readonly #setup: CredentialsSetup;

  constructor(setup: CredentialsSetup) {
    this.#setup = setup;
    setup.tabs.listen((message) => {
      this.#hear(message);
    });
  }

  /** The session state. */
  get state(): SessionState {
    return this.#state;
  }

  /** The current access token, even if it is about to expire. */
  get access(): AccessToken | null {
    return this.#access;
  }

  /** True after `close`. */
  get isClosed(): boolean {
    return this.#closing !== null;
  }

  /** Calls `listener` with every new access token, from any tab. Returns a function that removes the listener. */
  onAccess(listener: (access: AccessToken) => void): () => void {
    this.#accessListeners.add(listener);
    return () => this.#accessListeners.delete(listener);
  }

  /** Calls `listener` after each change of the signed-in user. Returns a function that removes the listener. */
  onChange(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Returns a token for the next request, refreshed if it is about to expire; null if signed out. */
  async token(): Promise<string | null> {
    this.#assertOpen();
    const access = this.#access;
    if (access === null || this.#setup.now() < access.refreshAt) return access?.token ?? null;
    try {
      return await this.renew(access.token);
    } catch (error) {
      // A failed refresh does not matter while the current token is valid.
      if (this.#setup.now() < access.expiresAt) return access.token;
      throw error;
    }
  }

  /** Replaces the token `stale`, by one refresh for all callers. Returns null if the session has ended. */
  async renew(stale: string | null): Promise<string | null> {
    this.#assertOpen();
    if (this.#access !== null && this.#access.token !== stale) return this.#access.token;
    if (this.#state.status === "signedOut") return null;
    this.#refreshing ??= this.#refresh(stale).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Signs in, in this and all other tabs. With a challenge, the session does not change. */
  signIn(input: LoginInput): Promise<SignInResult> {
    return this.#start(LoginDocument, { input: { ...this.#transport(), ...input } }, ({ login }) => login);
  }

  /** Answers a challenge, and signs in as `signIn`. */
  completeSignIn(input: CompleteLoginInput): Promise<CompleteSignInResult> {
    const variables = { input: { ...this.#transport(), ...input } };
    return this.#start(CompleteLoginDocument, variables, ({ completeLogin }) => completeLogin);
  }

  /** Signs in with a passkey, as `signIn`. */
  signInWithPasskey(passkey: PasskeyAssertionInput): Promise<PasskeySignInResult> {
    const variables = { input: { ...this.#transport(), passkey } };
    return this.#start(LoginWithPasskeyDocument, variables, ({ loginWithPasskey }) => loginWithPasskey);
  }

  /** Proves again who the user is. Returns errors that the user can fix; none after success. */
  reauthenticate(proof: ProofInput): Promise<ProofErrors> {
    return this.#change(async () => {
      const received = await this.#call(ReauthenticateDocument, { input: { proof } }, this.#access?.token);
      const payload = received.result.data?.reauthenticate;
      if (!payload) throw errorOf(received);
      if (payload.tokens && this.#state.status === "signedIn") await this.#accept(payload.tokens, this.#state.userId);
      return payload.errors;
    });
  }

  /** Starts a session with the tokens of another mutation, such as `verifyEmail`. */
  adopt(tokens: AuthTokens): Promise<void> {
    return this.#change(async () => {
      if (this.#setup.store && tokens.refreshToken === null) {
        throw new Error('These tokens cannot be stored. Ask for them with `refreshTokenIn: "BODY"`.');
      }
      const received = await this.#call(MeDocument, {}, tokens.accessToken);
      const user = received.result.data?.me;
      if (!user) throw errorOf(received);
      await this.#accept(tokens, user.id);
    });
  }

  /**
   * Signs out, in this and all other tabs. `everywhere` also ends the user's sessions on other devices. Throws, and
   * stays signed in, if the service cannot be reached, because the session would still be valid.
   */
  signOut(everywhere: boolean): Promise<void> {
    return this.#change(async () => {
      const { store } = this.#setup;
      const refreshToken = store ? await store.read() : null;
      const input = refreshToken === null ? { everywhere } : { everywhere, refreshToken };
      const received = await this.#call(LogoutDocument, { input }, this.#access?.token);
      if (!received.result.data?.logout && !isUnauthenticated(received.result)) throw errorOf(received);
      await this.#end();
    });
  }

  /**
   * Discards the tokens and ends the exchange with other tabs, without signing out. Changes that have begun end first,
   * so that no refresh token is lost; others fail.
   */
  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    this.#listeners.clear();
    this.#accessListeners.clear();
    await Promise.allSettled(this.#changes);
    this.#access = null;
    this.#setup.tabs.close();
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw closedError();
  }

  /** Runs a change of the session, one at a time over all tabs. */
  async #change<T>(work: (waited: boolean) => Promise<T>): Promise<T> {
    this.#assertOpen();
    return this.#setup.tabs.exclusively(async (waited) => {
      this.#assertOpen();
      const change = work(waited);
      this.#changes.add(change);
      try {
        return await change;
      } finally {
        this.#changes.delete(change);
      }
    });
  }

  /** Sends a mutation that signs in, and starts the session if its payload has tokens. */
  #start<TData, TVariables extends Variables, TPayload extends SignedIn>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    payloadOf: (data: TData) => TPayload | null,
  ): Promise<TPayload> {
    return this.#change(async () => {
      const received = await this.#call(document, variables);
      const { data } = received.result;
      const payload = data ? payloadOf(data) : null;
      if (!payload) throw errorOf(received);
      if (payload.tokens && payload.user) await this.#accept(payload.tokens, payload.user.id);
      return payload;
    });
  }

  /** The place of the refresh token in the response: the store needs it in the body. */
  #transport(): { refreshTokenIn: RefreshTokenTransport } {
    return { refreshTokenIn: this.#setup.store ? "BODY" : "COOKIE" };
  }

  #refresh(stale: string | null): Promise<string | null> {
    const { store } = this.#setup;
    return this.#change(async (waited) => {
      if (waited) await this.#askAround(stale);
      this.#assertOpen();
      if (this.#access !== null && this.#access.token !== stale) return this.#access.token;
      if (this.#state.status === "signedOut") return null;
      const refreshToken = store ? await store.read() : null;
      if (store && refreshToken === null) {
        await this.#end();
        return null;
      }
      // The next token of a cookie arrives as a cookie.
      const refreshTokenIn: RefreshTokenTransport = "BODY";
      const input = refreshToken === null ? {} : { refreshToken, refreshTokenIn };
      const payload = await this.#sendRefresh({ input });
      if (payload?.tokens && payload.user) {
        await this.#accept(payload.tokens, payload.user.id);
        return payload.tokens.accessToken;
      }
      await this.#end();
      return null;
    });
  }

  /**
   * Sends a refresh, unless the delay that the service asked for after the last one has not passed. Returns no tokens
   * if the session has ended. Only an explicit refusal ends it; a rate limit or an internal error does not.
   */
  async #sendRefresh(variables: RefreshMutationVariables): Promise<RefreshMutation["refresh"]> {
    if (this.#postponed !== null && performance.now() < this.#postponed.until) throw this.#postponed.error;
    try {
      const received = await this.#call(RefreshDocument, variables);
      const payload = received.result.data?.refresh ?? null;
      const isAccepted = payload?.tokens && payload.user;
      const isRefused = payload ? payload.errors.length > 0 : isUnauthenticated(received.result);
      if (!isAccepted && !isRefused) throw errorOf(received);
      return payload;
    } catch (error) {
      if (error instanceof VestibuleError || error instanceof ConnectionError) this.#postpone(error);
      throw error;
    }
  }

  #postpone(error: VestibuleError | ConnectionError): void {
    if (error.retryAfter === undefined) return;
    this.#postponed = { until: performance.now() + error.retryAfter * 1000, error };
  }

  /** After waiting for another tab, the tokens of that tab are probably on their way. */
  async #askAround(stale: string | null): Promise<void> {
    if (this.#state.status === "signedOut" || (this.#access !== null && this.#access.token !== stale)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => done(), HEARSAY);
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      this.#setup.tabs.post({ type: "ask" });
    });
  }

  #hear(message: TabMessage): void {
    if (this.isClosed) return;
    if (message.type === "ask") {
      if (this.#access !== null && this.#state.status === "signedIn" && this.#setup.now() < this.#access.refreshAt) {
        this.#setup.tabs.post({ type: "signedIn", access: this.#access, userId: this.#state.userId });
      } else if (this.#state.status === "signedOut") {
        this.#setup.tabs.post({ type: "signedOut" });
      }
      return;
    }
    if (message.type === "signedOut") {
      this.#access = null;
      this.#become({ status: "signedOut" });
    } else {
      const other = this.#state.status !== "signedIn" || this.#state.userId !== message.userId;
      if (!other && this.#access !== null && this.#access.expiresAt >= message.access.expiresAt) return;
      this.#access = message.access;
      this.#become({ status: "signedIn", userId: message.userId });
      this.#announce(message.access);
    }
    for (const done of [...this.#waiting]) done();
  }

  async #accept(tokens: NewTokens, userId: string): Promise<void> {
    const refreshToken = tokens.refreshToken ?? null;
    if (refreshToken !== null) await this.#setup.store?.write(refreshToken);
    const now = this.#setup.now();
    const expiresAt = Date.parse(tokens.accessExpiresAt);
    const left = expiresAt - now;
    // A token that arrives expired means that this clock is wrong. The refresh then waits for UNAUTHENTICATED.
    const refreshAt = left > 0 ? expiresAt - Math.min(LEEWAY, left / 4) : Number.POSITIVE_INFINITY;
    this.#access = { token: tokens.accessToken, expiresAt, refreshAt };
    this.#setup.tabs.post({ type: "signedIn", access: this.#access, userId });
    this.#become({ status: "signedIn", userId });
    this.#announce(this.#access);
  }

  #announce(access: AccessToken): void {
    for (const listener of [...this.#accessListeners]) listener(access);
  }

  async #end(): Promise<void> {
    await this.#setup.store?.write(null);
    this.#access = null;
    this.#setup.tabs.post({ type: "signedOut" });
    this.#become({ status: "signedOut" });
  }

  #become(next: SessionState): void {
    const before = this.#state;
    const same =
      before.status === next.status &&
      (before.status !== "signedIn" || next.status !== "signedIn" || before.userId === next.userId);
    this.#state = next;
    if (!same) for (const listener of [...this.#listeners]) listener(next);
  }

  /** Sends with a timeout, because other tabs wait for this one. */
  async #call<TData, TVariables extends Variables>(
    document: TypedDocumentNode<TData, TVariables>,
    variables: TVariables,
    token?: string,
  ): Promise<Received<TData>> {
    const { send, patience } = this.#setup;
    const control = new AbortController();
    const timer = setTimeout(() => {
      control.abort();
    }, patience);
    try {
      return await send(document, variables, { token, signal: control.signal });
    } catch (cause) {
      if (control.signal.aborted) throw new ConnectionError("The service took too long to respond.", { cause });
      throw cause;
    } finally {
      clearTimeout(timer);
    }
  }
}
