import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AllEmailsDocument,
  ConfirmResetDocument,
  ConnectionError,
  createVestibuleClient,
  MeDocument,
  memoryStore,
  PasswordPolicyDocument,
  RegisterDocument,
  RequestResetDocument,
  UpdateMeDocument,
  UploadAvatarDocument,
  VerifyEmailDocument,
  type VestibuleClient,
  VestibuleError,
  type VestibuleOptions,
} from "../src";
import { Browser, TabHub } from "./browser";
import { ADMIN, type Service, startService, waitFor } from "./service";

/** The user who registers, and later sets this password by a reset. */
const ADA = { identifier: "ada@example.com", password: "moths in the relay 9" };
let service: Service;
const opened: VestibuleClient[] = [];

beforeAll(async () => {
  service = await startService();
});
afterAll(() => {
  for (const client of opened) client.close();
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
    expect(uploadAvatar).toMatchObject({ errors: [], user: { avatarUrl: expect.stringContaining("/media/") } });
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
        if (!String(init?.body).includes("mutation Refresh")) {
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
          init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        }),
    });
    await expect(client.restore()).rejects.toThrow(ConnectionError);
    expect(client.session.status).toBe("unknown");
  });

  test("a rate limit during a refresh does not sign out, and reports when to try again", async () => {
    const limited = { message: "Too many.", extensions: { code: "RATE_LIMITED", retryAfter: 7 } };
    const store = memoryStore("kept");
    const client = open({
      store,
      fetch: canned((name) => ({ data: null, errors: [name === "Refresh" ? limited : unauthenticated] })),
    });
    await expect(client.request(MeDocument)).rejects.toMatchObject({ code: "RATE_LIMITED", retryAfter: 7 });
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

const unauthenticated = { message: "You need to sign in.", extensions: { code: "UNAUTHENTICATED", reason: "EXPIRED" } };
const later = new Date(Date.now() + 300_000).toISOString();
const expiring = { tokenType: "Bearer", accessExpiresAt: later, refreshExpiresAt: later };

/** A service with fixed responses, for cases that the real one does not produce on demand. */
function canned(answer: (name: string) => object): typeof fetch {
  return async (_url, init) => {
    const name = /(?:query|mutation) (\w+)/.exec(String(init?.body))?.[1] ?? "";
    return Response.json(answer(name));
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
