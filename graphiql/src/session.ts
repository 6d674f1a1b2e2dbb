/** The signed-in user, and the access token for every request. */

/** The signed-in user as shown on the page. */
export interface User {
  id: string;
  name: string;
  email: string;
}

interface Tokens {
  accessToken: string;
  accessExpiresAt: string;
}

interface Payload {
  tokens: Tokens | null;
  user: User | null;
  errors: { message: string }[];
}

interface Answer {
  data?: Record<string, Payload | null> | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

const SIGNED_IN = "tokens { accessToken accessExpiresAt } user { id name email } errors { message }";
const LOGIN = `mutation GraphiQLLogin($input: LoginInput!) { login(input: $input) { ${SIGNED_IN} } }`;
const REFRESH = `mutation GraphiQLRefresh { refresh { ${SIGNED_IN} } }`;
const LOGOUT = "mutation GraphiQLLogout { logout { errors { message } } }";

/** Maximum time before its expiry at which a token is replaced, in milliseconds. */
const LEEWAY = 30_000;

/**
 * One session for all tabs of the browser. The refresh token is in the cookie, which scripts cannot read; the access token
 * is only in memory. Changes to the cookie run in one tab at a time.
 */
export class Session {
  #user: User | null = null;
  #token: string | null = null;
  #refreshAt = 0;
  #refreshing: Promise<void> | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #tokenListeners = new Set<() => void>();
  readonly #tabs = new BroadcastChannel("vestibule graphiql");

  constructor(readonly url: string) {
    this.#tabs.addEventListener("message", () => void this.refresh());
  }

  /** The signed-in user. */
  get user(): User | null {
    return this.#user;
  }

  /** Calls `listener` when another user, or no user, is signed in. Returns a function that removes it. */
  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The current access token, even if it is about to expire. */
  get held(): string | null {
    return this.#token;
  }

  /** Time of the next refresh, in milliseconds since 1970. */
  get refreshAt(): number {
    return this.#refreshAt;
  }

  /** Calls `listener` with every new access token. */
  onToken(listener: () => void): void {
    this.#tokenListeners.add(listener);
  }

  /** Returns a valid token, or null if signed out. */
  async token(): Promise<string | null> {
    if (this.#token !== null && Date.now() >= this.#refreshAt) await this.refresh();
    return this.#token;
  }

  /** Gets the next token by the cookie. Signed out if the service refuses it. */
  refresh(): Promise<void> {
    this.#refreshing ??= alone(async () => {
      const answer = await this.#send(REFRESH);
      const payload = answer.data?.["refresh"];
      // A rate limit or an internal error does not end the session.
      if (payload || hasCode(answer, "UNAUTHENTICATED")) this.#become(payload ?? null);
    })
      .catch(() => undefined)
      .finally(() => {
        this.#refreshing = null;
      });
    return this.#refreshing;
  }

  /** Signs in, in all tabs. Returns an error message, or null. */
  signIn(identifier: string, password: string): Promise<string | null> {
    return alone(async () => {
      const answer = await this.#send(LOGIN, { input: { identifier, password } });
      const payload = answer.data?.["login"];
      if (!payload?.tokens) return told(payload ?? null, answer);
      this.#become(payload);
      this.#tabs.postMessage("changed");
      return null;
    });
  }

  /** Signs out, in all tabs. Returns an error message, or null. */
  signOut(): Promise<string | null> {
    return alone(async () => {
      const answer = await this.#send(LOGOUT, {}, this.#token);
      if (!answer.data?.["logout"] && !hasCode(answer, "UNAUTHENTICATED")) return told(null, answer);
      this.#become(null);
      this.#tabs.postMessage("changed");
      return null;
    });
  }

  /** `fetch` with the token, unless the request has its own. Retries once with the next token if it is refused. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    const own = !headers.has("authorization");
    const attempt = async (): Promise<[Response, string | null]> => {
      const token = own ? await this.token() : null;
      if (token !== null) headers.set("authorization", `Bearer ${token}`);
      return [await fetch(input, { ...init, headers }), token];
    };
    const [response, token] = await attempt();
    if (token === null) return response;
    const answer = (await response.clone().json().catch(() => ({}))) as Answer;
    // A partly executed operation must not run twice.
    const nothing = Object.values(answer.data ?? {}).every((field) => field === null);
    if (!nothing || !hasCode(answer, "UNAUTHENTICATED")) return response;
    await this.refresh();
    return this.#token === null || this.#token === token ? response : (await attempt())[0];
  };

  async #send(query: string, variables = {}, token: string | null = null): Promise<Answer> {
    const headers = new Headers({ "content-type": "application/json" });
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(this.url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    return (await response.json()) as Answer;
  }

  #become(payload: Payload | null): void {
    const before = this.#user?.id;
    this.#token = payload?.tokens?.accessToken ?? null;
    this.#user = payload?.tokens ? payload.user : null;
    const left = Date.parse(payload?.tokens?.accessExpiresAt ?? "") - Date.now();
    // A token that arrives expired means that this clock is wrong. The refresh then waits for UNAUTHENTICATED.
    this.#refreshAt = left > 0 ? Date.now() + left - Math.min(LEEWAY, left / 4) : Number.POSITIVE_INFINITY;
    if (this.#user?.id !== before) for (const listener of this.#listeners) listener();
    for (const listener of this.#tokenListeners) listener();
  }
}

async function alone<T>(work: () => Promise<T>): Promise<T> {
  // Browsers provide no locks to pages over plain HTTP from another machine.
  return "locks" in navigator ? navigator.locks.request("vestibule graphiql", work) : work();
}

function hasCode(answer: Answer, code: string): boolean {
  return answer.errors?.some(({ extensions }) => extensions?.code === code) ?? false;
}

function told(payload: Payload | null, answer: Answer): string {
  return payload?.errors[0]?.message ?? answer.errors?.[0]?.message ?? "The service did not respond.";
}
