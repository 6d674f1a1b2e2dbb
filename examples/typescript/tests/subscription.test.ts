import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  createVestibuleClient,
  type VestibuleClient,
  type VestibuleOptions,
  type WatchOnlineUsersSubscription,
  WatchOnlineUsersDocument,
} from "../src";
import { Browser, TabHub } from "./browser";
import { ADMIN, type Service, startService, waitFor } from "./service";

describe("subscriptions", () => {
  let service: Service;
  const opened: VestibuleClient[] = [];

  beforeAll(async () => {
    service = await startService();
  });
  afterAll(async () => {
    await Promise.all(opened.map((client) => client.close()));
    service.stop();
  });

  function open(options: Partial<VestibuleOptions> = {}): VestibuleClient {
    const client = createVestibuleClient({ url: service.url, fetch: new Browser().fetch, webSocket: WebSocket, ...options });
    opened.push(client);
    return client;
  }

  /** Watches the online users. Returns the results, and how the subscription ended. */
  function watch(client: VestibuleClient) {
    const heard = { lists: [] as WatchOnlineUsersSubscription["onlineUsers"][], error: undefined as Error | undefined };
    const end = client.subscribe(WatchOnlineUsersDocument, {}, {
      next: ({ onlineUsers }) => heard.lists.push(onlineUsers),
      error: (error) => {
        heard.error = error;
      },
    });
    return { heard, end };
  }

  test("deliver the current state immediately", async () => {
    const client = open();
    const { user } = await client.signIn(ADMIN);
    const { heard, end } = watch(client);
    const [list] = await waitFor(() => (heard.lists.length > 0 ? heard.lists : undefined));
    expect(list?.map(({ id }) => id)).toEqual([user?.id]);
    end();
  });

  test("refresh a refused token, and continue", async () => {
    const browser = new Browser();
    const client = open({
      fetch: async (url, init) => {
        const response = await browser.fetch(url, init);
        if (browser.sent.at(-1) !== "Login") return response;
        return new Response((await response.text()).replace(/"accessToken":"[^"]*"/, '"accessToken":"rubbish"'));
      },
    });
    await client.signIn(ADMIN);
    const { heard, end } = watch(client);
    await waitFor(() => (heard.lists.length > 0 ? true : undefined));
    expect(browser.sent).toEqual(["Login", "Refresh"]);
    end();
  });

  test("retry after a failed connection", async () => {
    let attempts = 0;
    class Flaky extends WebSocket {
      constructor(url: string, protocol: string) {
        attempts += 1;
        super(attempts === 1 ? "ws://127.0.0.1:1" : url, protocol);
      }
    }
    const client = open({ webSocket: Flaky });
    await client.signIn(ADMIN);
    const { heard, end } = watch(client);
    await waitFor(() => (heard.lists.length > 0 ? true : undefined));
    expect([attempts, heard.error]).toEqual([2, undefined]);
    end();
  });

  test("outlive their access token on one connection, whichever tab refreshes", async () => {
    const short = await startService({ VESTIBULE_ACCESS_TTL: "4s" });
    try {
      let connections = 0;
      const pings: string[] = [];
      class Counted extends WebSocket {
        constructor(url: string, protocol: string) {
          super(url, protocol);
          connections += 1;
        }
        override send(data: string): void {
          const message = JSON.parse(data) as { type: string; payload?: { Authorization?: string } };
          if (message.type === "ping" && message.payload?.Authorization) pings.push(message.payload.Authorization);
          super.send(data);
        }
      }
      const browser = new Browser();
      const hub = new TabHub();
      const client = open({ url: short.url, fetch: browser.fetch, webSocket: Counted, tabs: hub.open() });
      await client.signIn(ADMIN);
      const { heard, end } = watch(client);
      await waitFor(() => (heard.lists.length > 0 ? true : undefined));

      const other = open({ url: short.url, fetch: browser.fetch, tabs: hub.open() });
      await other.restore();
      await waitFor(() => (pings.length > 0 ? true : undefined));

      // The service accepts a token for five more seconds, and checks twice a second.
      await new Promise((resolve) => setTimeout(resolve, 11_000));
      expect([connections, heard.error]).toEqual([1, undefined]);
      expect(new Set(pings).size).toBe(pings.length);
      expect(pings.length).toBeGreaterThan(2);
      end();
    } finally {
      short.stop();
    }
  }, 30_000);

  test("reconnect if no token was available in time", async () => {
    const short = await startService({ VESTIBULE_ACCESS_TTL: "1s" });
    try {
      let connections = 0;
      class Counted extends WebSocket {
        constructor(url: string, protocol: string) {
          super(url, protocol);
          connections += 1;
        }
      }
      const browser = new Browser();
      const client = open({ url: short.url, fetch: browser.fetch, webSocket: Counted });
      await client.signIn(ADMIN);
      browser.down = "Refresh";
      const { heard, end } = watch(client);
      await waitFor(() => (heard.lists.length > 0 ? true : undefined));
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      browser.down = null;
      await waitFor(() => (heard.lists.length > 1 ? true : undefined));
      expect(connections).toBeGreaterThan(1);
      expect(heard.error).toBeUndefined();
      end();
    } finally {
      short.stop();
    }
  }, 30_000);

  test("end with the session", async () => {
    const client = open();
    await client.signIn(ADMIN);
    const { heard } = watch(client);
    await waitFor(() => (heard.lists.length > 0 ? true : undefined));
    await client.signOut();
    expect(await waitFor(() => heard.error)).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("require a signed-in user", async () => {
    const { heard } = watch(open());
    expect(await waitFor(() => heard.error)).toMatchObject({ code: "UNAUTHENTICATED" });
  });
});
