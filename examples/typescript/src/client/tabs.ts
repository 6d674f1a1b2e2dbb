import type { AccessToken } from "./credentials";

/** Messages between tabs. Only pages of the same origin receive them. */
export type TabMessage =
  /** The current tokens: after a sign-in, a refresh, or in reply to `ask`. */
  | { type: "signedIn"; access: AccessToken; userId: string }
  /** The session has ended. */
  | { type: "signedOut" }
  /** Request for the current tokens. */
  | { type: "ask" };

/** Coordination of the tabs of one browser, so that they act as one client. */
export interface Tabs {
  /** Runs `work` under a lock over all tabs. Its argument is true if it had to wait. */
  exclusively<T>(work: (waited: boolean) => Promise<T>): Promise<T>;
  /** Sends a message to all other tabs. */
  post(message: TabMessage): void;
  /** Sets the handler for messages of other tabs. */
  listen(hear: (message: TabMessage) => void): void;
  /** Ends the exchange of messages. */
  close(): void;
}

/** Tabs that use Web Locks and BroadcastChannel, for all pages of this origin with the same name. */
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

/** Coordination without tabs: only calls within this client wait for each other. */
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

/** True in a browser with the required APIs. Node has BroadcastChannel too, but no tabs. */
export function hasTabs(): boolean {
  return typeof document !== "undefined" && typeof BroadcastChannel !== "undefined" && "locks" in navigator;
}
