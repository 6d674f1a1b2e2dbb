import type { AccessToken } from "./credentials";

/** What tabs tell each other. Only pages of the same origin can listen. */
export type TabMessage =
  /** These are the tokens now: of a sign-in, a refresh, or in answer to `ask`. */
  | { type: "signedIn"; access: AccessToken; userId: string }
  /** The session has ended. */
  | { type: "signedOut" }
  /** Who has tokens? */
  | { type: "ask" };

/** How the tabs of one browser agree, so that they act as one client. */
export interface Tabs {
  /** Runs `work` while no other tab does; tells it whether it had to wait for one. */
  exclusively<T>(work: (waited: boolean) => Promise<T>): Promise<T>;
  /** Tells all other tabs. */
  post(message: TabMessage): void;
  /** Says what to do with messages of other tabs. */
  listen(hear: (message: TabMessage) => void): void;
  /** Leaves. */
  close(): void;
}

/** Tabs by Web Locks and BroadcastChannel, for all pages of this origin that use the same name. */
export function browserTabs(name: string): Tabs {
  const channel = new BroadcastChannel(name);
  return {
    async exclusively<T>(work: (waited: boolean) => Promise<T>): Promise<T> {
      const atOnce = await navigator.locks.request(name, { ifAvailable: true }, async (lock) =>
        lock === null ? null : { result: await work(false) },
      );
      return atOnce === null ? navigator.locks.request(name, () => work(true)) : atOnce.result;
    },
    post: (message) => channel.postMessage(message),
    listen(hear) {
      channel.addEventListener("message", (event: MessageEvent<TabMessage>) => hear(event.data));
    },
    close: () => channel.close(),
  };
}

/** For where there are no tabs: only the calls within this client wait for each other. */
export function noTabs(): Tabs {
  let last: Promise<unknown> = Promise.resolve();
  return {
    exclusively<T>(work: (waited: boolean) => Promise<T>): Promise<T> {
      const turn = last.then(() => work(false));
      last = turn.catch(() => undefined);
      return turn;
    },
    post: () => undefined,
    listen: () => undefined,
    close: () => undefined,
  };
}

/** Whether this is a browser whose tabs can agree. Node has BroadcastChannel too, but no tabs. */
export function hasTabs(): boolean {
  return typeof document !== "undefined" && typeof BroadcastChannel !== "undefined" && "locks" in navigator;
}
