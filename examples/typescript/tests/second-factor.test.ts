import { afterAll, afterEach, beforeAll, describe, expect, expectTypeOf, test, vi } from "vitest";
import {
  type CompleteLoginMutation,
  ConfirmTotpEnrollmentDocument,
  createPasskey,
  CreateApiTokenDocument,
  createVestibuleClient,
  FinishPasskeyRegistrationDocument,
  getPasskey,
  hasPasskeys,
  type LoginMutation,
  type LoginWithPasskeyMutation,
  MeDocument,
  memoryStore,
  type PasskeyAssertionInput,
  type PasskeyCreationOptions,
  type PasskeyRegistrationInput,
  type PasskeyRequestOptions,
  type ProofInput,
  RegisterDocument,
  RegisterWithoutPasswordDocument,
  type SignInChallenge,
  StartPasskeyLoginDocument,
  StartPasskeyRegistrationDocument,
  StartPasskeySignUpDocument,
  StartTotpEnrollmentDocument,
  VerifyEmailDocument,
  type VestibuleClient,
  type VestibuleOptions,
} from "../src";
import { Authenticator, AuthenticatorApp } from "./authenticators";
import { Browser, operationName, TabHub } from "./browser";
import { ADMIN, type Service, startService, waitFor } from "./service";

const PASSWORD = "moths in the relay 9";
let service: Service;
const opened: VestibuleClient[] = [];

beforeAll(async () => {
  service = await startService({ VESTIBULE_LIMITS: "off" });
});
afterEach(() => {
  vi.unstubAllGlobals();
});
afterAll(async () => {
  await Promise.all(opened.map((client) => client.close()));
  service.stop();
});

function open(options: Partial<VestibuleOptions> = {}): VestibuleClient {
  const client = createVestibuleClient({ url: service.url, fetch: new Browser().fetch, ...options });
  opened.push(client);
  return client;
}

/** Token of the link in the email that confirms this address. */
async function tokenFor(email: string): Promise<string> {
  const mail = (await service.mail(email, "Confirm your email address")).replace(/=\r?\n/g, "").replace(/=3D/g, "=");
  return /\?token=([\w.-]+)/.exec(mail)?.[1] ?? "";
}

/** A new user, and a client that is signed in. */
async function register(email: string): Promise<VestibuleClient> {
  const client = open();
  const { register } = await client.request(RegisterDocument, { input: { email, password: PASSWORD } });
  const input = { token: await tokenFor(email), registrationSecret: register?.registrationSecret ?? null };
  const { verifyEmail } = await client.request(VerifyEmailDocument, { input });
  if (!verifyEmail?.tokens) throw new Error(`not verified: ${JSON.stringify(verifyEmail?.errors)}`);
  await client.adopt(verifyEmail.tokens);
  return client;
}

/** Adds an authenticator app to the account of a client. */
async function addApp(client: VestibuleClient): Promise<{ app: AuthenticatorApp; recoveryCodes: string[] }> {
  const { startTotpEnrollment } = await client.request(StartTotpEnrollmentDocument);
  if (!startTotpEnrollment?.enrollment) throw new Error("not started");
  const { secret, token: enrollmentToken } = startTotpEnrollment.enrollment;
  const app = new AuthenticatorApp(secret);
  const input = { enrollmentToken, totpCode: app.code() };
  const { confirmTotpEnrollment } = await client.request(ConfirmTotpEnrollmentDocument, { input });
  expect(confirmTotpEnrollment?.errors).toEqual([]);
  return { app, recoveryCodes: confirmTotpEnrollment?.recoveryCodes ?? [] };
}

/** The challenge after the password. */
async function challengeOf(client: VestibuleClient, identifier: string): Promise<SignInChallenge> {
  const { challenge, tokens, errors } = await client.signIn({ identifier, password: PASSWORD });
  expect([tokens, errors.map(({ code }) => code)]).toEqual([null, ["SECOND_FACTOR_REQUIRED"]]);
  if (!challenge) throw new Error("no challenge");
  return challenge;
}

/** A `fetch` that answers the first CreateApiToken as refused for want of a recent proof. */
function refusingOnce(): typeof fetch {
  const browser = new Browser();
  let refused = false;
  return (url, init) => {
    if (operationName(init) !== "CreateApiToken" || refused) return browser.fetch(url, init);
    refused = true;
    const errors = [{ code: "REAUTHENTICATION_REQUIRED", field: null, message: "Confirm that it is you to continue." }];
    return Promise.resolve(Response.json({ data: { createApiToken: { apiToken: null, secret: null, errors } } }));
  };
}

/** Makes this process a browser with an authenticator. `native` has the browser's own conversion of options. */
function stubAuthenticator(native: object = {}): Authenticator {
  // Browsers have no passkeys for addresses.
  const authenticator = new Authenticator(service.origin.replace("127.0.0.1", "localhost"));
  vi.stubGlobal("navigator", { credentials: authenticator });
  vi.stubGlobal("PublicKeyCredential", native);
  return authenticator;
}

/** Adds a passkey to the account of a client. */
async function addPasskey(client: VestibuleClient): Promise<void> {
  const { startPasskeyRegistration } = await client.request(StartPasskeyRegistrationDocument);
  if (!startPasskeyRegistration?.options) throw new Error("no options");
  const credential = await createPasskey(startPasskeyRegistration.options);
  const input = { credential, name: "Work laptop" };
  const { finishPasskeyRegistration } = await client.request(FinishPasskeyRegistrationDocument, { input });
  expect(finishPasskeyRegistration?.errors).toEqual([]);
  expect(finishPasskeyRegistration?.passkey?.name).toBe("Work laptop");
}

/** Options for any passkey of the service. */
async function passkeyOptions(client: VestibuleClient): Promise<PasskeyRequestOptions> {
  const { startPasskeyLogin } = await client.request(StartPasskeyLoginDocument);
  if (!startPasskeyLogin) throw new Error("no options");
  return startPasskeyLogin.options;
}

describe("an authenticator app", () => {
  const email = "app@example.com";
  let app: AuthenticatorApp;
  let recoveryCodes: string[];
  beforeAll(async () => {
    ({ app, recoveryCodes } = await addApp(await register(email)));
  });

  test("is asked for after the password; a wrong code is data, and the session starts in all tabs", async () => {
    const hub = new TabHub();
    const browser = new Browser();
    const client = open({ fetch: browser.fetch, tabs: hub.open() });
    const other = open({ fetch: browser.fetch, tabs: hub.open() });
    const challenge = await challengeOf(client, email);
    expect(challenge.methods).toEqual(expect.arrayContaining(["TOTP", "RECOVERY_CODE"]));
    expect(challenge.passkeyOptions).toBeNull();
    expect([client.session.status, await client.restore()]).toEqual(["unknown", { status: "signedOut" }]);

    const challengeToken = challenge.token;
    const wrong = await client.completeSignIn({ challengeToken, proof: { totpCode: "000000" } });
    expect([wrong.tokens, wrong.errors.map(({ code }) => code)]).toEqual([null, ["SECOND_FACTOR_INCORRECT"]]);
    expect(client.session.status).toBe("signedOut");

    const { user, errors } = await client.completeSignIn({ challengeToken, proof: { totpCode: app.code() } });
    expect(errors).toEqual([]);
    expect(client.session).toEqual({ status: "signedIn", userId: user?.id });
    expect((await client.request(MeDocument)).me?.email).toBe(email);
    await waitFor(() => (other.session.status === "signedIn" ? true : undefined));
    const next = open({ fetch: browser.fetch });
    expect((await next.restore()).status).toBe("signedIn");
  });

  test("can be replaced by a recovery code, once; a store gets the refresh token", async () => {
    const store = memoryStore();
    const client = open({ store });
    const recoveryCode = recoveryCodes[0] ?? "";
    const { token } = await challengeOf(client, email);
    expect(store.read()).toBeNull();
    await client.completeSignIn({ challengeToken: token, proof: { recoveryCode } });
    expect([client.session.status, store.read()]).toEqual(["signedIn", expect.any(String)]);
    const again = await challengeOf(open(), email);
    const { errors } = await open().completeSignIn({ challengeToken: again.token, proof: { recoveryCode } });
    expect(errors.map(({ code }) => code)).toEqual(["SECOND_FACTOR_INCORRECT"]);
  });

  test("does not end the session of another user before the challenge is answered", async () => {
    const client = open();
    const { user } = await client.signIn(ADMIN);
    await challengeOf(client, email);
    expect(client.session).toEqual({ status: "signedIn", userId: user?.id });
  });

  test("proves identity: with a code of the app, or a recovery code", async () => {
    const address = "prover@example.com";
    const added = await addApp(await register(address));
    const proofs = (own: ProofInput) => [{ totpCode: "000000" }, own];
    const codes = [proofs({ totpCode: added.app.code() }), proofs({ recoveryCode: added.recoveryCodes[1] ?? "" })];
    for (const [attempt, given] of codes.entries()) {
      const prompts: string[][] = [];
      const prove = (errors: readonly { code: string }[]) => {
        prompts.push(errors.map(({ code }) => code));
        return Promise.resolve(given[prompts.length - 1] ?? null);
      };
      const client = open({ fetch: refusingOnce(), prove });
      const { token } = await challengeOf(client, address);
      const recoveryCode = added.recoveryCodes[attempt + 2] ?? "";
      await client.completeSignIn({ challengeToken: token, proof: { recoveryCode } });
      const input = { name: "nightly", scopes: ["READ" as const] };
      const { createApiToken } = await client.request(CreateApiTokenDocument, { input });
      expect(createApiToken?.errors).toEqual([]);
      expect(prompts).toEqual([[], ["SECOND_FACTOR_INCORRECT"]]);
    }
  });
});

describe("a passkey", () => {
  const email = "passkey@example.com";
  let authenticator: Authenticator;

  /** A browser with the authenticator of the user. */
  function withPasskey(): void {
    vi.stubGlobal("navigator", { credentials: authenticator });
    vi.stubGlobal("PublicKeyCredential", {});
  }

  beforeAll(async () => {
    authenticator = stubAuthenticator();
    await addPasskey(await register(email));
    vi.unstubAllGlobals();
  });

  test("signs in alone, also from the username field", async () => {
    withPasskey();
    const store = memoryStore();
    const client = open({ store });
    const passkey = await getPasskey(await passkeyOptions(client), { mediation: "conditional" });
    expect(authenticator.mediation).toBe("conditional");
    const { user, errors } = await client.signInWithPasskey(passkey);
    expect(errors).toEqual([]);
    expect(client.session).toEqual({ status: "signedIn", userId: user?.id });
    expect(store.read()).toEqual(expect.any(String));
    const again = await open().signInWithPasskey(passkey);
    expect(again.errors.map(({ code }) => code)).toEqual(["INVALID_TOKEN"]);
  });

  test("replaces the password of a new account", async () => {
    stubAuthenticator();
    const address = "without-password@example.com";
    const client = open();
    const { registerWithoutPassword } = await client.request(RegisterWithoutPasswordDocument, {
      input: { email: address },
    });
    const registrationSecret = registerWithoutPassword?.registrationSecret ?? null;
    const link = { token: await tokenFor(address), registrationSecret };
    const { startPasskeySignUp } = await client.request(StartPasskeySignUpDocument, { input: link });
    if (!startPasskeySignUp?.options) throw new Error("no options");
    const passkey = await createPasskey(startPasskeySignUp.options);
    const { verifyEmail } = await client.request(VerifyEmailDocument, { input: { ...link, passkey } });
    if (!verifyEmail?.tokens) throw new Error(`not verified: ${JSON.stringify(verifyEmail?.errors)}`);
    expect(verifyEmail.recoveryCodes).toHaveLength(10);
    await client.adopt(verifyEmail.tokens);
    expect((await client.request(MeDocument)).me).toMatchObject({ email: address, hasPassword: false });
    const next = open();
    const { errors } = await next.signInWithPasskey(await getPasskey(await passkeyOptions(next)));
    expect([errors, next.session.status]).toEqual([[], "signedIn"]);
  });

  test("answers the challenge after a password", async () => {
    withPasskey();
    const client = open();
    const { token, methods, passkeyOptions: options } = await challengeOf(client, email);
    expect(methods).toContain("PASSKEY");
    if (!options) throw new Error("no options");
    const passkey = await getPasskey(options);
    const { errors } = await client.completeSignIn({ challengeToken: token, proof: { passkey } });
    expect(errors).toEqual([]);
    expect((await client.request(MeDocument)).me?.email).toBe(email);
  });

  test("proves identity", async () => {
    withPasskey();
    let prompts = 0;
    const client = open({
      fetch: refusingOnce(),
      prove: async () => {
        prompts += 1;
        return { passkey: await getPasskey(await passkeyOptions(client)) };
      },
    });
    await client.signInWithPasskey(await getPasskey(await passkeyOptions(client)));
    const { createApiToken } = await client.request(CreateApiTokenDocument, { input: { name: "weekly", scopes: ["READ"] } });
    expect([createApiToken?.errors, prompts]).toEqual([[], 1]);
  });

  test("is converted by the browser, if it can", async () => {
    const converted: string[] = [];
    stubAuthenticator({
      parseRequestOptionsFromJSON: ({ challenge }: { challenge: string }) => {
        converted.push(challenge);
        return { challenge: new Uint8Array(), rpId: "localhost" };
      },
    });
    const options = await passkeyOptions(open());
    await expect(getPasskey(options)).rejects.toMatchObject({ name: "NotAllowedError" });
    expect(converted).toEqual([options.challenge]);
  });

  test("has only the fields of the inputs, in base64url without padding", async () => {
    withPasskey();
    const { response, ...names } = await getPasskey(await passkeyOptions(open()));
    expect(Object.keys(names).sort()).toEqual(["id", "rawId", "type"]);
    expect(Object.keys(response).sort()).toEqual(["authenticatorData", "clientDataJSON", "signature", "userHandle"]);
    for (const text of Object.values(response)) expect(text).toMatch(/^[\w-]+$/);
  });

  test("is missing in some environments", () => {
    expect(hasPasskeys()).toBe(false);
    withPasskey();
    expect(hasPasskeys()).toBe(true);
  });
});

/** `true` if a type contains `any` at any depth. */
type HasAny<T> = 0 extends 1 & T
  ? true
  : T extends string | number | boolean | null | undefined
    ? never
    : T extends readonly (infer TItem)[]
      ? HasAny<TItem>
      : { [TKey in keyof T]-?: HasAny<T[TKey]> }[keyof T];

test("the types of the ceremonies contain no `any`", () => {
  expectTypeOf<HasAny<{ deep: [{ json: ReturnType<PublicKeyCredential["toJSON"]> } | null] }>>().toEqualTypeOf<true>();
  expectTypeOf<HasAny<PasskeyCreationOptions>>().toBeNever();
  expectTypeOf<HasAny<PasskeyRequestOptions>>().toBeNever();
  expectTypeOf<HasAny<PasskeyRegistrationInput>>().toBeNever();
  expectTypeOf<HasAny<PasskeyAssertionInput>>().toBeNever();
  expectTypeOf<HasAny<ProofInput>>().toBeNever();
  expectTypeOf<HasAny<LoginMutation | CompleteLoginMutation | LoginWithPasskeyMutation>>().toBeNever();
});
