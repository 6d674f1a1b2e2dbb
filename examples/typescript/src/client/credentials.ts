import type { DocumentNode } from "graphql";
import {
  LoginDocument,
  type LoginInput,
  type LoginMutation,
  LogoutDocument,
  type LogoutMutation,
  MeDocument,
  type MeQuery,
  RefreshDocument,
  type RefreshMutation,
  type RefreshTokenTransport,
} from "../gql/graphql";
import { ConnectionError, type GraphQLResult, isUnauthenticated, VestibuleError } from "./errors";
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

/** Result of signing in: the user, or errors that the user can fix. */
export type SignInResult = NonNullable<LoginMutation["login"]>;

/** Tokens as returned by every mutation that signs in. */
export type AuthTokens = NonNullable<SignInResult["tokens"]>;

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
  readonly #listeners = new Set<(state: SessionState) => void>();
  readonly #accessListeners = new Set<(access: AccessToken) => void>();
  readonly #waiting = new Set<() => void>();
  readonly #setup: CredentialsSetup;

  constructor(setup: CredentialsSetup) {
    this.#setup = setup;
    setup.tabs.listen((message) => this.#hear(message));
  }

  /** The session state. */
  get state(): SessionState {
    return this.#state;
  }

  /** The current access token, even if it is about to expire. */
  get access(): AccessToken | null {
    return this.#access;
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
    if (this.#access !== null && this.#access.token !== stale) return this.#access.token;
    if (this.#state.status === "signedOut") return null;
    this.#refreshing ??= this.#refresh(stale).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Signs in, in this and all other tabs. */
  signIn(input: LoginInput): Promise<SignInResult> {
    return this.#setup.tabs.exclusively(async () => {
      const refreshTokenIn: RefreshTokenTransport = this.#setup.store ? "BODY" : "COOKIE";
      const result = await this.#call<LoginMutation>(LoginDocument, { input: { refreshTokenIn, ...input } });
      const payload = result.data?.login;
      if (!payload) throw new VestibuleError(result.errors ?? [], result.data);
      if (payload.tokens && payload.user) await this.#accept(payload.tokens, payload.user.id);
      return payload;
    });
  }

  /** Starts a session with the tokens of another mutation, such as `verifyEmail`. */
  adopt(tokens: AuthTokens): Promise<void> {
    return this.#setup.tabs.exclusively(async () => {
      if (this.#setup.store && tokens.refreshToken === null) {
        throw new Error('These tokens cannot be stored. Ask for them with `refreshTokenIn: "BODY"`.');
      }
      const result = await this.#call<MeQuery>(MeDocument, {}, tokens.accessToken);
      if (!result.data?.me) throw new VestibuleError(result.errors ?? [], result.data);
      await this.#accept(tokens, result.data.me.id);
    });
  }

  /**
   * Signs out, in this and all other tabs. `everywhere` also ends the user's sessions on other devices. Throws, and
   * stays signed in, if the service cannot be reached, because the session would still be valid.
   */
  signOut(everywhere: boolean): Promise<void> {
    return this.#setup.tabs.exclusively(async () => {
      const { store } = this.#setup;
      const refreshToken = store ? await store.read() : null;
      const input = refreshToken === null ? { everywhere } : { everywhere, refreshToken };
      const result = await this.#call<LogoutMutation>(LogoutDocument, { input }, this.#access?.token);
      if (!result.data?.logout && !isUnauthenticated(result)) throw new VestibuleError(result.errors ?? [], result.data);
      await this.#end();
    });
  }

  /** Stops the exchange with other tabs and discards the tokens, without signing out. */
  close(): void {
    this.#setup.tabs.close();
    this.#listeners.clear();
    this.#accessListeners.clear();
    this.#access = null;
  }

  #refresh(stale: string | null): Promise<string | null> {
    const { store, tabs } = this.#setup;
    return tabs.exclusively(async (waited) => {
      if (waited) await this.#askAround(stale);
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
      const result = await this.#call<RefreshMutation>(RefreshDocument, { input });
      const payload = result.data?.refresh;
      if (payload?.tokens && payload.user) {
        await this.#accept(payload.tokens, payload.user.id);
        return payload.tokens.accessToken;
      }
      // Only an explicit refusal ends the session; a rate limit or an internal error does not.
      const refused = payload ? payload.errors.length > 0 : isUnauthenticated(result);
      if (!refused) throw new VestibuleError(result.errors ?? [], result.data);
      await this.#end();
      return null;
    });
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

  async #accept(tokens: AuthTokens, userId: string): Promise<void> {
    if (tokens.refreshToken !== null) await this.#setup.store?.write(tokens.refreshToken);
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
  async #call<TData>(document: DocumentNode, variables: Variables, token?: string): Promise<GraphQLResult<TData>> {
    const { send, patience } = this.#setup;
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(new ConnectionError("The service took too long to respond.")), patience);
    try {
      return (await send(document, variables, { token, signal: control.signal })) as GraphQLResult<TData>;
    } finally {
      clearTimeout(timer);
    }
  }
}
