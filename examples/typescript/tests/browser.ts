import type { TabMessage, Tabs } from "../src";

/** A `fetch` with the cookies of one browser, which records requests and can manipulate them. */
export class Browser {
  /** The names of the operations sent, in order. */
  readonly sent: string[] = [];
  /** Access tokens that are replaced by invalid ones on their way to the service. */
  readonly broken = new Set<string>();
  /** The last access token sent. */
  token = "";
  /** True if the network is down for operations of this name. */
  down: string | null = null;
  readonly #cookies = new Map<string, string>();

  readonly fetch = async (url: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const name = operationName(init);
    this.sent.push(name);
    if (this.down === name) throw new TypeError("fetch failed");
    const token = headers.get("authorization")?.replace("Bearer ", "");
    if (token !== undefined) this.token = token;
    if (token !== undefined && this.broken.has(token)) headers.set("authorization", "Bearer rubbish");
    const withCookies = init.credentials === "include";
    // Browsers set this header, and scripts cannot change it.
    headers.set("origin", new URL(url instanceof Request ? url.url : url).origin);
    if (withCookies) headers.set("cookie", [...this.#cookies].map(([key, value]) => `${key}=${value}`).join("; "));
    const response = await fetch(url, { ...init, headers });
    if (withCookies) for (const cookie of response.headers.getSetCookie()) this.#keep(cookie);
    return response;
  };

  /** Number of times an operation was sent. */
  count(name: string): number {
    return this.sent.filter((sent) => sent === name).length;
  }

  #keep(cookie: string): void {
    const [, key, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
    if (key === undefined || value === undefined) return;
    if (value === "" || /max-age=0/i.test(cookie)) this.#cookies.delete(key);
    else this.#cookies.set(key, value);
  }
}

/** The name of the operation in a request of the client. */
export function operationName(init: RequestInit = {}): string {
  const text = init.body instanceof FormData ? init.body.get("operations") : init.body;
  return typeof text === "string" ? (/(?:query|mutation) (\w+)/.exec(text)?.[1] ?? "") : "";
}

/** Tabs within this process, with the two guarantees of a browser: one lock, and asynchronous messages. */
export class TabHub {
  readonly #heard = new Map<Tabs, (message: TabMessage) => void>();
  #last: Promise<unknown> = Promise.resolve();
  #busy = 0;

  /** Opens another tab. */
  open(): Tabs {
    const tab: Tabs = {
      exclusively: <T>(work: (waited: boolean) => Promise<T>): Promise<T> => {
        const waited = this.#busy > 0;
        this.#busy += 1;
        const turn = this.#last
          .then(() => work(waited))
          .finally(() => {
            this.#busy -= 1;
          });
        this.#last = turn.catch(() => undefined);
        return turn;
      },
      post: (message) => {
        if (!this.#heard.has(tab)) throw new Error("This tab is closed.");
        for (const [other, hear] of this.#heard) if (other !== tab) setTimeout(() => hear(structuredClone(message)));
      },
      listen: (hear) => {
        this.#heard.set(tab, hear);
      },
      close: () => {
        this.#heard.delete(tab);
      },
    };
    return tab;
  }
}
