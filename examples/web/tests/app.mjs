// The app in a real browser, with a real service: actions of users and staff, titles and focus, screenshots, and an
// accessibility check. Usage: node tests/app.mjs [FOLDER FOR SCREENSHOTS]; VESTIBULE_BIN names the service.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build } from "vite";
import { addApp, codeOf } from "../../../tests/browser/totp.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));
const binary = resolve(process.env.VESTIBULE_BIN ?? join(here, "../../target/debug/vestibule"));
const shots = resolve(process.argv[2] ?? join(here, "screenshots"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const admin = { identifier: "admin@example.com", password: "correct horse battery staple 42" };
const folder = mkdtempSync(join(tmpdir(), "vestibule-web-"));
mkdirSync(shots, { recursive: true });

/** Serves the build; every path of the app is the same page. */
async function servePages() {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
  const server = createServer((request, response) => {
    const wanted = join(here, "dist", new URL(request.url, "http://localhost").pathname);
    const file = existsSync(wanted) && extname(wanted) ? wanted : join(here, "dist/index.html");
    response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream");
    response.end(readFileSync(file));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  // Browsers have no passkeys for addresses.
  return { server, origin: `http://localhost:${server.address().port}` };
}

/** Starts the service with a new data directory; links in its emails lead to the app. */
async function startService(origin) {
  const env = {
    PATH: process.env.PATH,
    VESTIBULE_LISTEN: "127.0.0.1:0",
    VESTIBULE_DATA_DIR: folder,
    VESTIBULE_ADMIN_EMAIL: admin.identifier,
    VESTIBULE_ADMIN_PASSWORD: admin.password,
    VESTIBULE_ALLOWED_ORIGINS: origin,
    VESTIBULE_FRONTEND_URL: origin,
    VESTIBULE_LOG: "warn",
  };
  const service = spawn(binary, ["serve"], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: service.stdout })) {
    const address = /^listening on (.*)$/.exec(line)?.[1];
    if (address) return { service, url: `${address.replace("127.0.0.1", "localhost")}/graphql` };
  }
  throw new Error("the service did not start");
}

/** Waits for the newest email with this subject, and returns its link with a token. */
async function linkOf(page, subject) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const mails = existsSync(join(folder, "mail")) ? readdirSync(join(folder, "mail")).sort().reverse() : [];
    for (const name of mails) {
      const mail = readFileSync(join(folder, "mail", name), "utf8").replace(/=\r?\n/g, "").replace(/=3D/g, "=");
      const link = mail.includes(`Subject: ${subject}`) && /http:\S+\?\S*token=[^\s"<]+/.exec(mail)?.[0];
      if (link) return link;
    }
    await page.waitForTimeout(50);
  }
  throw new Error(`no mail "${subject}" came`);
}

/** Checks accessibility and horizontal overflow, and takes a screenshot. */
async function inspect(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is too wide`);
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

/** Waits for a page: its title, and the focus on its heading. */
async function arrived(page, heading) {
  await page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
  assert.equal(await page.title(), `${heading} · Vestibule`);
  await page.locator("h1:focus").waitFor();
}

async function signIn(page, { identifier, password }, name) {
  await page.getByLabel("Email address or username").fill(identifier);
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
  await arrived(page, name);
}

/** Answers the next operation of this name as refused for want of a recent proof of identity. */
async function refuseOnce(page, name, field) {
  const errors = [{ code: "REAUTHENTICATION_REQUIRED", field: null, message: "Confirm that it is you." }];
  let refused = false;
  await page.route(url, async (route) => {
    if (refused || !route.request().postData()?.includes(`mutation ${name}`)) return route.fallback();
    refused = true;
    const headers = { "access-control-allow-origin": origin, "access-control-allow-credentials": "true" };
    await route.fulfill({ json: { data: { [field]: { user: null, errors } } }, headers });
  });
}

/** A page whose browser has a virtual authenticator. */
async function withAuthenticator(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable", { enableUI: false });
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true };
  const added = { options: { ...options, isUserVerified: true, automaticPresenceSimulation: true } };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", added);
  const remove = () => devtools.send("WebAuthn.clearCredentials", { authenticatorId });
  return { page, remove };
}

/** The same, with a passkey of this user from the pages of the service. */
async function withPasskey(context, { identifier, password }) {
  const { page, remove } = await withAuthenticator(context);
  await page.goto(new URL("/account/sign-in?returnTo=/account/security", url).href);
  await page.getByLabel("Email address or username").fill(identifier);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("link", { name: "Add a passkey" }).click();
  await page.getByRole("button", { name: "Create the passkey" }).click();
  await page.getByRole("heading", { name: "Your recovery codes" }).waitFor();
  await context.clearCookies();
  return { page, remove };
}

const { server, origin } = await servePages();
const { service, url } = await startService(origin);
process.env.VITE_VESTIBULE_URL = url;
await build({ root: here, logLevel: "error" });
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
let passed = 0;
try {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const broken = [];
  page.on("pageerror", (error) => broken.push(error.message));

  // Sign-in: a wrong password is refused, the right one is accepted, and a reload keeps the session.
  // The focus moves to the error, then to the heading of the next page, but not when the app starts.
  await page.goto(origin);
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  assert.equal(await page.title(), "Sign in · Vestibule");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "BODY");
  await page.getByLabel("Email address or username").fill(admin.identifier);
  await page.getByLabel("Password").fill("not the password");
  await page.keyboard.press("Enter");
  await page.locator("[role=alert]:focus").filter({ hasText: /\w/ }).waitFor();
  await inspect(page, "sign-in-refused");
  await signIn(page, admin, "admin");
  await page.reload();
  await page.getByRole("heading", { level: 1, name: "admin" }).waitFor();
  assert.equal(await page.title(), "admin · Vestibule");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "BODY");
  passed += 1;

  // Details and avatar of the user.
  await page.getByLabel("First name").fill("A".repeat(500));
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("input[name=firstName][aria-invalid=true]:focus").waitFor();
  await page.getByLabel("First name").fill("Ada");
  await page.getByLabel("Last name").fill("Lovelace");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: "Ada Lovelace" }).waitFor();
  assert.equal(await page.title(), "Ada Lovelace · Vestibule");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Save");
  const picture = await page.screenshot({ clip: { x: 0, y: 0, width: 300, height: 300 } });
  await page.locator("input[type=file]").setInputFiles({ name: "me.png", mimeType: "image/png", buffer: picture });
  await page.locator("img.avatar").waitFor();
  await page.waitForFunction(() => document.querySelector("img.avatar")?.naturalWidth > 0);
  await inspect(page, "profile");
  await page.getByRole("button", { name: "Remove the picture" }).click();
  await page.locator("main img.avatar").waitFor({ state: "detached" });
  await page.locator("input[type=file]:focus").waitFor();
  passed += 1;

  // Import: dry run with an error, corrected dry run, import.
  const rows = Array.from({ length: 14 }, (_, index) => `user${index}@example.com,First${index},Last${index}`);
  const csv = (lines) => ({ name: "users.csv", mimeType: "text/csv", buffer: Buffer.from(`email,first_name,last_name\n${lines.join("\n")}\n`) });
  await page.getByRole("link", { name: "Import" }).click();
  await arrived(page, "Import users");
  await page.getByLabel("File").setInputFiles(csv([...rows, "not an address,X,Y"]));
  await page.getByRole("button", { name: "Check" }).click();
  await page.getByRole("cell", { name: "email", exact: true }).waitFor();
  await page.locator("[aria-label=Errors]:focus").waitFor();
  assert.ok(await page.getByRole("button", { name: "Import" }).isDisabled());
  await inspect(page, "import-wrong");
  await page.getByLabel("File").setInputFiles(csv(rows));
  await page.getByRole("button", { name: "Check" }).click();
  await page.getByText("The import would have this result: 14 created").waitFor();
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByText(/^Done: 14 created/).waitFor();
  passed += 1;

  // Users: pages, order, search.
  await page.getByRole("link", { name: "Users" }).click();
  await arrived(page, "Users");
  await page.goBack();
  await arrived(page, "Import users");
  await page.goForward();
  await arrived(page, "Users");
  await page.getByText("15 users").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 10);
  await page.getByRole("button", { name: "Next page" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 5);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Next page");
  await page.getByRole("button", { name: "Previous page" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 10);
  await page.getByRole("button", { name: "Email address" }).click();
  await page.locator("tbody tr").first().getByText(admin.identifier).waitFor();
  assert.equal(await page.getByRole("columnheader", { name: "Email address" }).getAttribute("aria-sort"), "ascending");
  await page.getByLabel("Search").fill("last7");
  await page.getByText("1 user", { exact: true }).waitFor();
  passed += 1;

  // Switches: disabled if the service would refuse, effective otherwise.
  const staff = page.getByRole("switch", { name: "Staff: First7 Last7" });
  await staff.click();
  await page.getByText("First7 Last7 is now staff.").waitFor();
  assert.ok(await staff.isChecked());
  await page.getByLabel("Search").fill("");
  await page.getByText("15 users").waitFor();
  for (const name of ["Staff: Ada Lovelace", "Active: Ada Lovelace"]) {
    assert.ok(await page.getByRole("switch", { name }).isDisabled(), name);
  }
  await inspect(page, "users");
  passed += 1;

  // Online users, live: another user signs in by an emailed link, and appears.
  await page.getByRole("link", { name: "Online" }).click();
  await arrived(page, "Online now");
  await page.getByText("1 online").waitFor();
  const guest = await (await browser.newContext({ colorScheme: "dark", viewport: { width: 320, height: 700 } })).newPage();
  guest.setDefaultTimeout(30_000);
  await guest.goto(`${origin}/forgot`);
  await guest.getByLabel("Email address").fill("user7@example.com");
  await guest.keyboard.press("Enter");
  await guest.getByRole("status").filter({ hasText: /\w/ }).waitFor();
  await inspect(guest, "forgot-dark-320");
  await guest.goto(await linkOf(guest, "Reset your password"));
  await guest.getByRole("textbox", { name: "New password" }).fill("short");
  await guest.keyboard.press("Enter");
  await guest.locator("input[aria-invalid=true]:focus").waitFor();
  await inspect(guest, "reset-dark-320");
  await guest.getByRole("textbox", { name: "New password" }).fill("orchids under the stairs 55");
  await guest.keyboard.press("Enter");
  await guest.getByRole("status").getByText("Your new password is set").waitFor();
  await guest.getByRole("link", { name: "Back to sign-in" }).click();
  await arrived(guest, "Sign in");
  await signIn(guest, { identifier: "user7@example.com", password: "orchids under the stairs 55" }, "First7 Last7");
  await page.getByText("2 online").waitFor();
  await page.getByRole("listitem").filter({ hasText: "First7 Last7" }).waitFor();
  await inspect(page, "online");
  passed += 1;

  // Staff cannot change a superuser. A wide table in a narrow, dark window.
  await inspect(guest, "profile-dark-320");
  await guest.getByRole("link", { name: "Users" }).click();
  await guest.getByText(/users$/).waitFor();
  await inspect(guest, "users-dark-320");
  passed += 1;

  // Two tabs: signing out in one signs out in the other.
  const second = await context.newPage();
  await second.goto(origin);
  await second.getByRole("heading", { level: 1, name: "Ada Lovelace" }).waitFor();
  await second.getByRole("button", { name: "Sign out", exact: true }).click();
  await arrived(page, "Sign in");
  await arrived(second, "Sign in");
  await inspect(page, "sign-in");
  passed += 1;

  // A passkey: signs in, answers the challenge after the password, and proves identity.
  const holder = { identifier: "user7@example.com", password: "orchids under the stairs 55" };
  const keys = await browser.newContext({ viewport: { width: 1100, height: 800 } });
  const { page: own, remove } = await withPasskey(keys, holder);
  own.on("pageerror", (error) => broken.push(error.message));
  await own.goto(origin);
  await own.getByRole("button", { name: "Sign in with a passkey" }).click();
  await arrived(own, "First7 Last7");
  await refuseOnce(own, "UpdateMe", "updateMe");
  await own.getByRole("button", { name: "Save" }).click();
  await own.getByRole("dialog").getByRole("button", { name: "Use a passkey" }).click();
  await own.getByText("Saved.").waitFor();
  await own.getByRole("button", { name: "Sign out", exact: true }).click();
  await arrived(own, "Sign in");
  await own.getByLabel("Email address or username").fill(holder.identifier);
  await own.getByLabel("Password").fill(holder.password);
  await own.keyboard.press("Enter");
  await arrived(own, "Enter your code");
  await inspect(own, "second-factor-passkey");
  await own.getByRole("button", { name: "Use a passkey" }).click();
  await arrived(own, "First7 Last7");
  await own.getByRole("button", { name: "Sign out", exact: true }).click();
  await arrived(own, "Sign in");
  await remove();
  await own.getByRole("button", { name: "Sign in with a passkey" }).click();
  await own.getByRole("alert").getByText("The passkey could not be used").waitFor();
  passed += 1;

  // Registration without a password: the link in the email creates the passkey, which signs in alone.
  const newcomers = await browser.newContext({ viewport: { width: 320, height: 700 }, colorScheme: "dark" });
  const { page: fresh } = await withAuthenticator(newcomers);
  fresh.on("pageerror", (error) => broken.push(error.message));
  await fresh.goto(origin);
  await fresh.getByRole("link", { name: "Create an account" }).click();
  await arrived(fresh, "Create an account");
  await fresh.getByLabel("Email address").fill("not an address");
  await fresh.keyboard.press("Enter");
  await fresh.locator("input[name=email][aria-invalid=true]:focus").waitFor();
  await inspect(fresh, "register-wrong-dark-320");
  await fresh.getByLabel("Email address").fill("grace@example.com");
  await fresh.getByLabel("First name").fill("Grace");
  await fresh.keyboard.press("Enter");
  await fresh.getByRole("status").getByText("sent you an email").waitFor();
  await fresh.goto(await linkOf(fresh, "Confirm your email address"));
  await fresh.getByLabel("Or a password").fill("short");
  await fresh.keyboard.press("Enter");
  await fresh.locator("input[name=password][aria-invalid=true]:focus").waitFor();
  await inspect(fresh, "verify-wrong-dark-320");
  await fresh.getByRole("button", { name: "Create a passkey" }).click();
  await arrived(fresh, "Your recovery codes");
  assert.equal(await fresh.locator(".codes code").count(), 10);
  await inspect(fresh, "recovery-codes-dark-320");
  await fresh.getByRole("button", { name: "Continue" }).click();
  await arrived(fresh, "Grace");
  await fresh.getByRole("button", { name: "Sign out", exact: true }).click();
  await arrived(fresh, "Sign in");
  await fresh.getByRole("button", { name: "Sign in with a passkey" }).click();
  await arrived(fresh, "Grace");
  passed += 1;

  // An authenticator app: a wrong code, the code, and a recovery code in the dialog that asks for a proof.
  const { secret, recoveryCodes } = await addApp(url, admin);
  await page.getByLabel("Email address or username").fill(admin.identifier);
  await page.getByLabel("Password").fill(admin.password);
  await page.keyboard.press("Enter");
  await arrived(page, "Enter your code");
  await page.getByRole("button", { name: "Start again" }).click();
  await arrived(page, "Sign in");
  await page.getByLabel("Email address or username").fill(admin.identifier);
  await page.getByLabel("Password").fill(admin.password);
  await page.keyboard.press("Enter");
  await arrived(page, "Enter your code");
  await page.getByLabel("Code of your authenticator app").fill("000000");
  await page.keyboard.press("Enter");
  await page.locator("input[name=code][aria-invalid=true]:focus").waitFor();
  await inspect(page, "second-factor-wrong");
  await page.getByLabel("Code of your authenticator app").fill(codeOf(secret, 1));
  await page.keyboard.press("Enter");
  await arrived(page, "Online now");
  await page.getByRole("link", { name: "Profile" }).click();
  await arrived(page, "Ada Lovelace");
  await refuseOnce(page, "UpdateMe", "updateMe");
  await page.getByRole("button", { name: "Save" }).click();
  const dialog = page.getByRole("dialog", { name: "Confirm that it is you" });
  await dialog.getByLabel("Password").fill("not the password");
  await page.keyboard.press("Enter");
  await dialog.locator("input[name=password][aria-invalid=true]:focus").waitFor();
  await inspect(page, "proof-wrong");
  await dialog.getByLabel("Or a code").fill(recoveryCodes[0]);
  await page.keyboard.press("Enter");
  await page.getByText("Saved.").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Save");
  passed += 1;
  assert.deepEqual(broken, []);
} finally {
  await browser.close();
  service.kill();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, 0 failed`);
