import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AllEmailsDocument,
  ConfirmResetDocument,
  ConnectionError,
  CreateApiTokenDocument,
  createVestibuleClient,
  MeDocument,
  memoryStore,
  PasswordPolicyDocument,
  type RefreshTokenStore,
  RegisterDocument,
  RequestResetDocument,
  SessionsDocument,
  UpdateMeDocument,
  UploadAvatarDocument,
  VerifyEmailDocument,
  type VestibuleClient,
  VestibuleError,
  type VestibuleOptions,
} from "../src";
import { Browser, operationName, TabHub } from "./browser";
import { ADMIN, type Service, startService, waitFor } from "./service";

/** The user who registers, and later sets this password by a reset. */
const ADA = { identifier: "ada@example.com", password: "moths in the relay 9" };
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
  const client = createVestibuleClient({ url: service.url, ...options });
  opened.push(client);
  return client;
}

/** A signed-in client in its own browser, and its token. */
async function signedIn(options: Partial<VestibuleOptions> = {}) {
  const browser = new Browser();
  const client = open({ fetch: browser.fetch, ...options });
  const { tokens } = await client.signIn(ADMIN);
  if (!tokens) throw new Error("not signed in");
  browser.sent.length = 0;
  return { browser, client, token: tokens.accessToken };
}

/** A `fetch` that answers the first operation of this name as refused for want of a recent proof. */
function refusingOnce(browser: Browser, name: string): { fetch: typeof fetch; refused: () => number } {
  let refused = 0;
  return {
    refused: () => refused,
    fetch: async (input, init) => {
      const body = typeof init?.body === "string" ? init.body : "";
      if (!body.includes(`mutation ${name}`) || refused > 0) return browser.fetch(input, init);
      refused += 1;
      const errors = [{ code: "REAUTHENTICATION_REQUIRED", field: null, message: "Confirm that it is you to continue.", methods: ["PASSWORD"] }];
      return Response.json({ data: { createApiToken: { apiToken: null, secret: null, errors } } });
    },
  };
}

describe("a sensitive operation", () => {
  const input = { name: "nightly", scopes: ["READ" as const] };

  test("is repeated once after a proof of identity", async () => {
    const browser = new Browser();
    const { fetch, refused } = refusingOnce(browser, "CreateApiToken");
    const prompts: string[][] = [];
    const { client } = await signedIn({
      fetch,
      prove: (errors, methods) => {
        prompts.push(errors.map((error) => error.code));
        expect(methods).toEqual(["PASSWORD"]);
        return Promise.resolve({ password: prompts.length === 1 ? "wrong" : ADMIN.password });
      },
    });
    const { createApiToken } = await client.request(CreateApiTokenDocument, { input });
    expect(createApiToken?.errors).toEqual([]);
    expect(createApiToken?.secret).toMatch(/^vst_/);
    expect(refused()).toBe(1);
    expect(prompts).toEqual([[], ["PASSWORD_INCORRECT"]]);
    const { sessions } = await client.request(SessionsDocument);
    expect(sessions?.length).toBeGreaterThan(0);
  });

  test("stays refused if the user gives up, or without a prompt", async () => {
    for (const prove of [() => Promise.resolve(null), undefined]) {
      const { fetch } = refusingOnce(new Browser(), "CreateApiToken");
      const { client } = await signedIn(prove ? { fetch, prove } : { fetch });
      const { createApiToken } = await client.request(CreateApiTokenDocument, { input });
      expect(createApiToken?.errors.map((error) => error.code)).toEqual(["REAUTHENTICATION_REQUIRED"]);
    }
  });
});

describe("signing in", () => {
  test("returns the user, and adds its token to every request", async () => {
    const { client } = await signedIn();
    const { me } = await client.request(MeDocument);
    expect(me?.email).toBe(ADMIN.identifier);
    expect(client.session).toEqual({ status: "signedIn", userId: me?.id });
  });

  test("returns a wrong password as data", async () => {
    const client = open({ fetch: new Browser().fetch });
    const payload = await client.signIn({ ...ADMIN, password: "not the password" });
    expect(payload.errors.map(({ code }) => code)).toEqual(["INVALID_CREDENTIALS"]);
    expect(client.session).toEqual({ status: "unknown" });
  });

  test("is not needed for public operations", async () => {
    const browser = new Browser();
    const { passwordPolicy } = await open({ fetch: browser.fetch }).request(PasswordPolicyDocument);
    expect(passwordPolicy.minLength).toBe(8);
    expect(browser.sent).toEqual(["PasswordPolicy"]);
  });

  test("happens by the link that confirms an address, and by the one that sets a password", async () => {
    const client = open({ fetch: new Browser().fetch });
    const input = { email: ADA.identifier, password: "the analytical engine weaves" };
    const { register } = await client.request(RegisterDocument, { input });
    expect(register?.errors).toEqual([]);
    const registrationSecret = register?.registrationSecret;
    const token = linkIn(await service.mail(ADA.identifier, "Confirm your email address")).get("token") ?? "";
    const { verifyEmail } = await client.request(VerifyEmailDocument, { input: { token, registrationSecret } });
    if (!verifyEmail?.tokens || !verifyEmail.user) throw new Error("not verified");
    await client.adopt(verifyEmail.tokens);
    expect(client.session).toEqual({ status: "signedIn", userId: verifyEmail.user.id });

    await client.request(RequestResetDocument, { input: { email: ADA.identifier } });
    const link = linkIn(await service.mail(ADA.identifier, "Reset your password"));
    const reset = { uid: link.get("uid") ?? "", token: link.get("token") ?? "", newPassword: ADA.password, login: true };
    const { confirmReset } = await client.request(ConfirmResetDocument, { input: reset });
    if (!confirmReset?.tokens) throw new Error("not set");
    await client.adopt(confirmReset.tokens);
    expect((await client.request(MeDocument)).me?.email).toBe(ADA.identifier);
  });
});

describe("staying signed in", () => {
  test("ten callers with an invalid token cause one refresh, and all get their response", async () => {
    const { browser, client, token } = await signedIn();
    browser.broken.add(token);
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.request(MeDocument)));
    expect(answers.map(({ me }) => me?.email)).toEqual(Array(10).fill(ADMIN.identifier));
    expect([browser.count("Me"), browser.count("Refresh")]).toEqual([20, 1]);
  });

  test("a token about to expire is replaced before the request", async () => {
    let ahead = 0;
    const { browser, client } = await signedIn({ now: () => Date.now() + ahead });
    await client.request(MeDocument);
    ahead = 4.75 * 60_000;
    await Promise.all([client.request(MeDocument), client.request(MeDocument)]);
    expect(browser.sent).toEqual(["Me", "Refresh", "Me", "Me"]);
  });

  test("a request is repeated once and no more", async () => {
    const { browser, client, token } = await signedIn();
    browser.broken.add(token);
    const fetch = browser.fetch;
    const stubborn = open({
      fetch: async (url, init) => {
        const headers = new Headers(init?.headers);
        if (headers.has("authorization")) headers.set("authorization", "Bearer rubbish");
        return fetch(url, { ...init, headers });
      },
    });
    const failure = await stubborn.request(MeDocument).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(VestibuleError);
    expect((failure as VestibuleError).code).toBe("UNAUTHENTICATED");
    expect(browser.sent).toEqual(["Me", "Refresh", "Me"]);
    expect(client.session.status).toBe("signedIn");
  });

  test("a mutation that was refused for the token is repeated too, its file included", async () => {
    const { browser, client, token } = await signedIn();
    browser.broken.add(token);
    const { updateMe } = await client.request(UpdateMeDocument, { input: { bio: "keeps the keys" } });
    expect(updateMe?.user?.bio).toBe("keeps the keys");
    const { uploadAvatar } = await client.request(UploadAvatarDocument, { input: { file: picture() } });
    expect(uploadAvatar?.errors).toEqual([]);
    expect(uploadAvatar?.user?.avatarUrl).toContain("/media/");
    expect(browser.sent).toEqual(["UpdateMe", "Refresh", "UpdateMe", "UploadAvatar"]);
  });

  test("a mutation with an executed field is not repeated", async () => {
    const calls: string[] = [];
    const client = open({
      fetch: canned((name) => {
        calls.push(name);
        return { data: { a: { id: "1" }, b: null }, errors: [unauthenticated] };
      }),
    });
    await expect(client.request(UpdateMeDocument, { input: {} })).rejects.toThrow(VestibuleError);
    expect(calls).toEqual(["UpdateMe"]);
  });

  test("a request of one user is not repeated as another", async () => {
    const calls: string[] = [];
    const tokens = (token: string) => ({ ...expiring, accessToken: token, refreshToken: token });
    const client = open({
      fetch: canned((name) => {
        calls.push(name);
        if (name === "Login") return { data: { login: { tokens: tokens("a"), user: { id: "ada" }, errors: [] } } };
        if (name === "Refresh") return { data: { refresh: { tokens: tokens("b"), user: { id: "eve" }, errors: [] } } };
        return { data: { updateMe: null }, errors: [unauthenticated] };
      }),
    });
    await client.signIn(ADMIN);
    await expect(client.request(UpdateMeDocument, { input: {} })).rejects.toThrow(VestibuleError);
    expect(calls).toEqual(["Login", "UpdateMe", "Refresh"]);
    expect(client.session).toEqual({ status: "signedIn", userId: "eve" });
  });

  test("a missing right does not cause a refresh", async () => {
    const browser = new Browser();
    const client = open({ fetch: browser.fetch });
    await client.signIn(ADA);
    await expect(client.request(AllEmailsDocument)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(browser.count("Refresh")).toBe(0);
  });

  test("a clock that is a year ahead does not cause a refresh for every request", async () => {
    const { browser, client } = await signedIn({ now: () => Date.now() + 365 * 86_400_000 });
    await client.request(MeDocument);
    await client.request(MeDocument);
    expect(browser.sent).toEqual(["Me", "Me"]);
  });

  test("a network failure during a refresh does not sign out", async () => {
    const { browser, client, token } = await signedIn();
    browser.broken.add(token);
    browser.down = "Refresh";
    await expect(client.request(MeDocument)).rejects.toThrow(ConnectionError);
    expect(client.session.status).toBe("signedIn");
    browser.down = null;
    expect((await client.request(MeDocument)).me?.email).toBe(ADMIN.identifier);
  });

  test("ten callers without a network try one refresh between them", async () => {
    let answered = 0;
    let refreshes = 0;
    const client = open({
      fetch: async (_url, init) => {
        if (operationName(init) !== "Refresh") {
          answered += 1;
          return Response.json({ data: { me: null }, errors: [unauthenticated] });
        }
        refreshes += 1;
        await waitFor(() => (answered === 10 ? true : undefined));
        throw new TypeError("fetch failed");
      },
    });
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => client.request(MeDocument)));
    expect(outcomes.map(({ status }) => status)).toEqual(Array(10).fill("rejected"));
    expect(refreshes).toBe(1);
  });

  test("a service that does not respond causes a timeout", async () => {
    const client = open({
      patience: 50,
      fetch: (_url, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new DOMException("Aborted.", "AbortError")));
        }),
    });
    await expect(client.restore()).rejects.toThrow(ConnectionError);
    expect(client.session.status).toBe("unknown");
  });

  test("a rate limit during a refresh does not sign out, and reports when to try again", async () => {
    const store = memoryStore("kept");
    const client = open({
      store,
      fetch: canned((name) => ({ data: null, errors: [name === "Refresh" ? limited(70) : unauthenticated] })),
    });
    await expect(client.request(MeDocument)).rejects.toMatchObject({ code: "RATE_LIMITED", retryAfter: 70 });
    expect([client.session.status, store.read()]).toEqual(["unknown", "kept"]);
  });

  test("a failed refresh does not matter while the token is valid", async () => {
    let ahead = 0;
    const { browser, client } = await signedIn({ now: () => Date.now() + ahead });
    browser.down = "Refresh";
    ahead = 4.75 * 60_000;
    expect((await client.request(MeDocument)).me?.email).toBe(ADMIN.identifier);
  });
});

describe("without cookies", () => {
  test("a store keeps the refresh token for the next start, and is empty after signing out", async () => {
    const store = memoryStore();
    const { client } = await signedIn({ store });
    const first = store.read();
    expect(first).toEqual(expect.any(String));

    const browser = new Browser();
    const next = open({ store, fetch: browser.fetch });
    expect((await next.restore()).status).toBe("signedIn");
    expect(store.read()).not.toBe(first);
    expect((await next.request(MeDocument)).me?.email).toBe(ADMIN.identifier);

    await next.signOut();
    expect(store.read()).toBeNull();
    await expect(client.request(MeDocument)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("a store gets the token, and the browser no cookie; a cookie comes without a token for scripts", async () => {
    const given: [string | null, boolean][] = [];
    const noting: typeof fetch = async (url, init) => {
      const response = await new Browser().fetch(url, init);
      const { data } = (await response.clone().json()) as { data: { login: { tokens: { refreshToken: string | null } } } };
      given.push([data.login.tokens.refreshToken, response.headers.has("set-cookie")]);
      return response;
    };
    await open({ store: memoryStore(), fetch: noting }).signIn(ADMIN);
    await open({ fetch: noting }).signIn(ADMIN);
    expect(given).toEqual([[expect.any(String), false], [null, true]]);
  });

  test("tokens that cannot be stored are not adopted", async () => {
    const tokens = { ...expiring, accessToken: "a", refreshToken: null };
    await expect(open({ store: memoryStore() }).adopt(tokens)).rejects.toThrow("refreshTokenIn");
  });

  test("an empty store sends no request", async () => {
    const browser = new Browser();
    const client = open({ store: memoryStore(), fetch: browser.fetch });
    expect(await client.restore()).toEqual({ status: "signedOut" });
    expect(browser.sent).toEqual([]);
  });
});

describe("tabs", () => {
  async function twoTabs() {
    const hub = new TabHub();
    const { browser, client: one, token } = await signedIn({ tabs: hub.open() });
    const two = open({ fetch: browser.fetch, tabs: hub.open() });
    await two.restore();
    browser.sent.length = 0;
    return { browser, one, two, token };
  }

  test("that refresh at the same moment refresh once", async () => {
    const hub = new TabHub();
    const { browser, client: one, token } = await signedIn({ tabs: hub.open() });
    const two = open({ fetch: browser.fetch, tabs: hub.open() });
    browser.broken.add(token);
    const answers = await Promise.all([one.request(MeDocument), two.request(MeDocument), one.request(MeDocument)]);
    expect(answers.map(({ me }) => me?.email)).toEqual(Array(3).fill(ADMIN.identifier));
    expect(browser.count("Refresh")).toBe(1);
  });

  test("share a sign-in", async () => {
    const hub = new TabHub();
    const browser = new Browser();
    const other = open({ fetch: browser.fetch, tabs: hub.open() });
    const changes: string[] = [];
    other.onSessionChange(({ status }) => changes.push(status));
    await open({ fetch: browser.fetch, tabs: hub.open() }).signIn(ADMIN);
    await waitFor(() => (other.session.status === "signedIn" ? true : undefined));
    expect((await other.request(MeDocument)).me?.email).toBe(ADMIN.identifier);
    expect([changes, browser.count("Refresh")]).toEqual([["signedIn"], 0]);
  });

  test("share a sign-out", async () => {
    const { browser, one, two } = await twoTabs();
    await one.signOut();
    await waitFor(() => (two.session.status === "signedOut" ? true : undefined));
    await expect(two.request(MeDocument)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(browser.sent).toEqual(["Logout", "Me"]);
  });

  test("are all signed out when refreshing is refused in one", async () => {
    const { browser, one, two } = await twoTabs();
    const { client: elsewhere } = await signedIn();
    await elsewhere.signOut({ everywhere: true });
    await expect(one.request(MeDocument)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await waitFor(() => (two.session.status === "signedOut" ? true : undefined));
    expect([one.session.status, browser.sent]).toEqual(["signedOut", ["Me", "Refresh"]]);
  });

  test("stay signed in when signing out does not reach the service", async () => {
    const { browser, one } = await twoTabs();
    browser.down = "Logout";
    await expect(one.signOut()).rejects.toThrow(ConnectionError);
    expect(one.session.status).toBe("signedIn");
  });
});

describe("a service that asks for a delay", () => {
  /** A client, and the names of the operations that it sends. */
  function asking(answer: (name: string, attempt: number) => object, options: Partial<VestibuleOptions> = {}) {
    const calls: string[] = [];
    const client = open({
      ...options,
      fetch: canned((name) => {
        calls.push(name);
        return answer(name, calls.length);
      }),
    });
    return { client, calls };
  }

  test("gets a query again after the delay", async () => {
    const { client, calls } = asking((_name, attempt) =>
      attempt === 1 ? { data: { me: null }, errors: [limited(1)] } : { data: { me: { id: "ada" } } },
    );
    const started = performance.now();
    expect((await client.request(MeDocument, {})).me?.id).toBe("ada");
    expect(calls).toEqual(["Me", "Me"]);
    expect(performance.now() - started).toBeGreaterThan(990);
  });

  test("gets a query again that a proxy refused", async () => {
    const { client, calls } = asking((_name, attempt) =>
      attempt === 1
        ? new Response("<h1>Busy</h1>", { status: 503, headers: { "retry-after": "1" } })
        : { data: { me: { id: "ada" } } },
    );
    expect((await client.request(MeDocument, {})).me?.id).toBe("ada");
    expect(calls).toEqual(["Me", "Me"]);
  });

  test("gets a query three times at most", async () => {
    const { client, calls } = asking(() => ({ data: { me: null }, errors: [limited(0)] }));
    await expect(client.request(MeDocument, {})).rejects.toMatchObject({ code: "RATE_LIMITED", retryAfter: 0 });
    expect(calls).toEqual(["Me", "Me", "Me"]);
  });

  test("gets no mutation again, which may have been executed", async () => {
    const busy = { message: "Busy.", extensions: { code: "SERVICE_UNAVAILABLE", retryAfter: 0 } };
    const { client, calls } = asking(() => ({ data: { updateMe: null }, errors: [busy] }));
    const sent = client.request(UpdateMeDocument, { input: {} });
    await expect(sent).rejects.toMatchObject({ code: "SERVICE_UNAVAILABLE", retryAfter: 0 });
    expect(calls).toEqual(["UpdateMe"]);
  });

  test("gets nothing again after a long delay, or if the client only reports delays", async () => {
    for (const [seconds, options] of [[60, {}], [1, { retryWithin: 0 }]] as const) {
      const { client, calls } = asking(() => ({ data: { me: null }, errors: [limited(seconds)] }), options);
      await expect(client.request(MeDocument, {})).rejects.toMatchObject({ retryAfter: seconds });
      expect(calls).toEqual(["Me"]);
    }
  });

  test("gets nothing again from a caller who gave up", async () => {
    const { client, calls } = asking(() => ({ data: { me: null }, errors: [limited(5)] }));
    const control = new AbortController();
    const sent = client.request(MeDocument, {}, { signal: control.signal });
    await waitFor(() => (calls.length > 0 ? true : undefined));
    const started = performance.now();
    setTimeout(() => control.abort(new Error("gave up")), 20);
    await expect(sent).rejects.toThrow("gave up");
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(calls).toEqual(["Me"]);
  });

  test("gets no refresh before the delay is over", async () => {
    const { client, calls } = asking(
      (name) => ({ data: null, errors: [name === "Refresh" ? limited(60) : unauthenticated] }),
      { store: memoryStore("kept") },
    );
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(client.request(MeDocument, {})).rejects.toMatchObject({ code: "RATE_LIMITED", retryAfter: 60 });
    }
    expect(calls).toEqual(["Me", "Refresh", "Me"]);
  });
});

describe("closing", () => {
  /** A client in a refresh whose response arrives after `release`, and its request that waits for it. */
  async function refreshing(options: Partial<VestibuleOptions> = {}) {
    const browser = new Browser();
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const client = open({
      ...options,
      fetch: async (url, init) => {
        const response = await browser.fetch(url, init);
        if (operationName(init) === "Refresh") await released;
        return response;
      },
    });
    const { tokens } = await client.signIn(ADMIN);
    browser.broken.add(tokens?.accessToken ?? "");
    const asked = client.request(MeDocument);
    await waitFor(() => (browser.count("Refresh") > 0 ? true : undefined));
    return { browser, client, asked, release };
  }

  test("during a refresh stores the new refresh token, in a slow store too", async () => {
    const kept = memoryStore();
    const store: RefreshTokenStore = {
      read: () => kept.read(),
      write: async (token) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await kept.write(token);
      },
    };
    const { client, asked, release } = await refreshing({ store });
    const before = kept.read();
    const closed = client.close();
    release();
    await closed;
    expect([kept.read(), before]).toEqual([expect.any(String), expect.any(String)]);
    expect(kept.read()).not.toBe(before);
    expect((await asked).me?.email).toBe(ADMIN.identifier);
    expect((await open({ store, fetch: new Browser().fetch }).restore()).status).toBe("signedIn");
  });

  test("during a refresh shares the new token with the other tabs", async () => {
    const hub = new TabHub();
    const { browser, client, asked, release } = await refreshing({ tabs: hub.open() });
    const other = open({ fetch: browser.fetch, tabs: hub.open() });
    const restored = other.restore();
    const closed = client.close();
    release();
    expect((await asked).me?.email).toBe(ADMIN.identifier);
    await closed;
    expect((await restored).status).toBe("signedIn");
    expect((await other.request(MeDocument)).me?.email).toBe(ADMIN.identifier);
    expect(browser.count("Refresh")).toBe(1);
  });

  test("during a refresh that fails keeps the refresh token", async () => {
    const store = memoryStore("kept");
    let fail: () => void = () => undefined;
    const client = open({
      store,
      fetch: () =>
        new Promise((_resolve, reject) => {
          fail = () => reject(new TypeError("fetch failed"));
        }),
    });
    const restored = expect(client.restore()).rejects.toThrow(ConnectionError);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const closed = client.close();
    fail();
    await Promise.all([closed, restored]);
    expect(store.read()).toBe("kept");
  });

  test("sends nothing new, not even what waits for another tab", async () => {
    const hub = new TabHub();
    const { browser, release } = await refreshing({ tabs: hub.open() });
    const second = new Browser();
    const client = open({ fetch: second.fetch, tabs: hub.open() });
    const waiting = client.signIn(ADMIN);
    await client.close();
    release();
    const failures: unknown[] = [];
    client.subscribeTo("subscription { onlineUsers { id } }", {}, {
      next: () => undefined,
      error: (error) => failures.push(error),
    });
    const calls = [client.signIn(ADMIN), client.request(MeDocument), client.restore(), client.accessToken()];
    for (const outcome of await Promise.allSettled([waiting, ...calls])) {
      const reason = { message: "This client is closed. Create another one." };
      expect(outcome).toMatchObject({ status: "rejected", reason });
    }
    expect([failures.length, second.sent, browser.count("Login")]).toEqual([1, [], 1]);
  });
});

describe("adapters", () => {
  test("may send the text of a document, and choose one of its operations", async () => {
    const { client } = await signedIn();
    const text = "query One { passwordPolicy { minLength } } query Two { me { email } }";
    const { data } = await client.execute(text, {}, { operationName: "Two" });
    expect(data).toEqual({ me: { email: ADMIN.identifier } });
  });

  test("may send a credential of their own, which is not refreshed", async () => {
    const { browser, client } = await signedIn();
    const headers = { Authorization: "Bearer vst_rubbish" };
    const { errors } = await client.execute(MeDocument, {}, { headers });
    expect(errors?.[0]?.extensions?.["code"]).toBe("UNAUTHENTICATED");
    expect(browser.sent).toEqual(["Me"]);
  });
});

test("the access token is available for requests outside GraphQL", async () => {
  const { browser, client, token } = await signedIn();
  expect(await client.accessToken()).toBe(token);
  const next = open({ fetch: browser.fetch });
  expect(await next.accessToken()).toEqual(expect.any(String));
  await next.signOut();
  expect(await next.accessToken()).toBeNull();
});

/** An error that asks for a delay. */
function limited(retryAfter: number) {
  return { message: "Too many.", extensions: { code: "RATE_LIMITED", retryAfter } };
}

const unauthenticated = { message: "You need to sign in.", extensions: { code: "UNAUTHENTICATED", reason: "EXPIRED" } };
const later = new Date(Date.now() + 300_000).toISOString();
const expiring = { tokenType: "Bearer", accessExpiresAt: later, refreshExpiresAt: later };

/** A service with fixed responses, for cases that the real one does not produce on demand. */
function canned(answer: (name: string) => object): typeof fetch {
  return (_url, init) => {
    const given = answer(operationName(init));
    return Promise.resolve(given instanceof Response ? given : Response.json(given));
  };
}

function linkIn(mail: string): URLSearchParams {
  const text = mail.replace(/=\r?\n/g, "").replace(/=3D/g, "=");
  return new URL(/http:\S+\?\S+/.exec(text)?.[0].replace(/["<>].*$/, "") ?? "").searchParams;
}

/** The smallest PNG. */
function picture(): File {
  const base64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  return new File([Buffer.from(base64, "base64")], "me.png", { type: "image/png" });
}
