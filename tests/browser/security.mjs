// The pages for second factors and passkeys in a real browser: the app without scripts, passkeys with Chromium's virtual
// authenticator, also one that forges its answers.
// Usage: node security.mjs BINARY SCREENSHOT_FOLDER

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "./chromium.mjs";
import { ADMIN_PASSWORD, assertAccessible, linkOf, start } from "./service.mjs";
import { codeOf } from "./totp.mjs";

const [binary, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "vestibule-security-"));
mkdirSync(shots, { recursive: true });

/** A page whose browser has a virtual authenticator. */
async function withAuthenticator(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await page.addInitScript(() => {
    const get = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = (options) => {
      globalThis.asked = options.mediation ?? "modal";
      return get(options);
    };
  });
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable", { enableUI: false });
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  const forge = (bits) => devtools.send("WebAuthn.setResponseOverrideBits", { authenticatorId, ...bits });
  // A user who is present answers a request when it starts, also one that waits for autofill.
  const present = (enabled) => devtools.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
  // Clicks the button while the request for autofill waits.
  const click = async () => {
    await page.waitForFunction(() => globalThis.asked === "conditional");
    await present(true);
    await page.getByRole("button", { name: "Use a passkey" }).click();
  };
  return { page, forge, present, click };
}

async function signIn(page, url, then = "") {
  await page.goto(`${url}/account/sign-in${then}`);
  await page.getByLabel("Email address or username").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Registers without a password on the pages, and resolves to the address of the emailed link. */
async function registerWithPasskey(page, inbox, email) {
  await page.goto(`${named}/account/register`);
  await page.getByRole("link", { name: "Sign up with a passkey" }).click();
  await page.getByLabel("Email address").fill(email);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("heading", { name: "Check your email" }).waitFor();
  const { pathname, search } = new URL(await linkOf(inbox, url, /Confirm your email address/, email));
  return `${named}${pathname}${search}`;
}

const { service, url } = await start(binary, folder);
// Browsers have no passkeys for addresses.
const named = url.replace("127.0.0.1", "localhost");
const browser = await launch();
let passed = 0;
try {
  // An authenticator app, without scripts.
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const page = await plain.newPage();
  page.setDefaultTimeout(10_000);
  await page.goto(`${url}/account/security`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, url, "?returnTo=/account/security");
  await page.getByRole("heading", { name: "Sign-in and security" }).waitFor();
  await page.getByRole("button", { name: "Set up an app" }).click();
  const text = await page.getByText("enter this key in the app").textContent();
  const secret = text.split(":").at(-1).trim();
  await page.screenshot({ path: join(shots, "app.png"), fullPage: true });
  await page.getByLabel("Code of the app").fill("000000");
  await page.getByRole("button", { name: "Confirm the app" }).click();
  await page.getByRole("alert").waitFor();
  assert.ok((await page.getByText("enter this key in the app").textContent()).includes(secret), "the same key is shown again");
  await page.getByLabel("Code of the app").fill(codeOf(secret));
  await page.getByRole("button", { name: "Confirm the app" }).click();
  await page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
  const codes = await page.locator(".codes code").allTextContents();
  assert.equal(codes.length, 10);
  await page.screenshot({ path: join(shots, "recovery-codes.png"), fullPage: true });
  passed += 1;

  // Signing in takes a code, and a recovery code works once.
  await plain.clearCookies();
  await signIn(page, url, "?returnTo=/account/security");
  await page.getByRole("heading", { name: "Enter your code" }).waitFor();
  await page.screenshot({ path: join(shots, "second-factor.png"), fullPage: true });
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Code", { exact: true }).fill(codes[0]);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByText("You have 9 codes left.").waitFor();
  await page.getByRole("button", { name: "Remove the app" }).click();
  await page.getByRole("status").getByText("The app is removed.").waitFor();
  passed += 1;

  // Without scripts there is no passkey, and nothing is broken.
  await page.getByRole("link", { name: "Add a passkey" }).click();
  await page.getByRole("heading", { name: "Add a passkey" }).waitFor();
  assert.equal(await page.locator("main").getByRole("button").count(), 0);
  passed += 1;

  // A passkey is added, and signs in: with a button, and by autofill.
  const context = await browser.newContext();
  const own = await withAuthenticator(context);
  await signIn(own.page, named, "?returnTo=/account/security");
  await own.page.getByRole("link", { name: "Add a passkey" }).click();
  await own.page.getByLabel("Name of the passkey").fill("Work laptop");
  await own.page.getByRole("button", { name: "Create the passkey" }).click();
  await own.page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
  await own.page.getByRole("link", { name: "Back to sign-in and security" }).click();
  await own.page.getByRole("link", { name: "Work laptop" }).waitFor();
  await own.page.screenshot({ path: join(shots, "security.png"), fullPage: true });
  await own.page.getByRole("link", { name: "Add a passkey" }).click();
  await own.page.getByRole("button", { name: "Create the passkey" }).click();
  await own.page.getByRole("alert").getByText("The passkey could not be used").waitFor();
  passed += 1;

  await own.present(false);
  await context.clearCookies();
  await own.page.goto(`${named}/account/sign-in?returnTo=/account/security`);
  await own.click();
  await own.page.getByRole("heading", { name: "Sign-in and security" }).waitFor();
  passed += 1;

  await context.clearCookies();
  await own.page.goto(`${named}/account/sign-in?returnTo=/account/security`);
  await own.page.getByRole("heading", { name: "Sign-in and security" }).waitFor();
  passed += 1;

  // After the password, the passkey is the second factor.
  await own.present(false);
  await context.clearCookies();
  await signIn(own.page, named, "?returnTo=/account/security");
  await own.page.getByRole("heading", { name: "Enter your code" }).waitFor();
  await own.present(true);
  await own.page.getByRole("button", { name: "Use a passkey" }).click();
  await own.page.getByRole("heading", { name: "Sign-in and security" }).waitFor();
  passed += 1;

  // Forged answers sign nobody in.
  for (const bits of [{ isBogusSignature: true }, { isBadUV: true }, { isBadUP: true }]) {
    await own.present(false);
    await own.forge({ isBogusSignature: false, isBadUV: false, isBadUP: false, ...bits });
    await context.clearCookies();
    await own.page.goto(`${named}/account/sign-in`);
    await own.click();
    await own.page.getByRole("heading", { name: "The passkey did not sign you in" }).waitFor();
    assert.ok(!(await context.cookies()).some(({ name }) => name.includes("refresh")), "nobody is signed in");
    passed += 1;
  }
  await own.forge({ isBogusSignature: false, isBadUV: false, isBadUP: false });

  // Registration without a password: the link creates the passkey, which signs in alone.
  const inbox = await (await browser.newContext()).newPage();
  const joining = await browser.newContext();
  const fresh = await withAuthenticator(joining);
  await fresh.page.goto(await registerWithPasskey(fresh.page, inbox, "grace@example.com"));
  await fresh.page.getByRole("button", { name: "Create a passkey" }).click();
  await fresh.page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
  assert.equal(await fresh.page.locator(".codes code").count(), 10);
  await fresh.page.screenshot({ path: join(shots, "registered-with-passkey.png"), fullPage: true });
  await fresh.page.getByRole("link", { name: "Continue" }).click();
  await fresh.page.getByRole("heading", { name: "Your account" }).waitFor();
  const logout = { data: { query: "mutation { logout { success } }" }, headers: { "sec-fetch-site": "same-origin" } };
  assert.ok((await joining.request.post(`${named}/graphql`, logout)).ok());
  await fresh.present(false);
  await fresh.page.goto(`${named}/account/security`);
  await fresh.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await fresh.click();
  await fresh.page.getByText("You are signed in as grace@example.com.").waitFor();
  await fresh.page.getByRole("link", { name: "Set a password" }).waitFor();
  passed += 1;

  // Another browser, without scripts, sets a password instead.
  const pending = await registerWithPasskey(fresh.page, inbox, "pending@example.com");
  const without = await registerWithPasskey(fresh.page, inbox, "scriptless@example.com");
  const scriptless = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  scriptless.setDefaultTimeout(10_000);
  await scriptless.goto(without);
  assert.deepEqual(await scriptless.getByRole("button").allTextContents(), ["Confirm email address"]);
  await scriptless.getByLabel("Password", { exact: true }).fill("quite a new long phrase");
  await scriptless.getByLabel("Repeat password").fill("quite a new long phrase");
  await scriptless.getByRole("button", { name: "Confirm email address" }).click();
  await scriptless.getByRole("heading", { name: "Your account" }).waitFor();
  passed += 1;

  // Every page, wide and narrow, light and dark.
  await own.page.goto(`${named}/account/sign-in?returnTo=/account/security`);
  await own.page.getByRole("heading", { name: "Sign-in and security" }).waitFor();
  const passkey = new URL(await own.page.getByRole("link", { name: "Work laptop" }).getAttribute("href"), named);
  const cookies = await context.cookies();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 320]) {
      const looking = await browser.newContext({ colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
      await looking.addCookies(cookies);
      const look = await looking.newPage();
      const views = { security: "/account/security", passkey: `${passkey.pathname}${passkey.search}`, "passkey-add": "/account/security/passkey", prove: "/account/prove", "register-passkey": "/account/register?with=passkey", "verify-passkey": pending.slice(named.length) };
      for (const [name, path] of Object.entries(views)) {
        await look.goto(`${named}${path}`);
        await assertAccessible(assert, look, axe, `${name}, ${colorScheme}, ${width}`, width);
        await look.screenshot({ path: join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: true });
        passed += 1;
      }
      await look.goto(`${named}/account/security`);
      await look.getByRole("button", { name: "Set up an app" }).click();
      await assertAccessible(assert, look, axe, `app, ${colorScheme}, ${width}`, width);
      await look.screenshot({ path: join(shots, `app-${colorScheme}-${width}.png`), fullPage: true });
      passed += 1;
      await looking.close();
    }
  }
} finally {
  await browser.close();
  service.kill();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, 0 failed`);
