// GraphiQL as the binary serves it: signing in, running, listening; nothing from elsewhere, nothing that its policy forbids.
// Usage: node graphiql.mjs BINARY SCREENSHOT_FOLDER

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";
import { addApp, codeOf } from "./totp.mjs";

const [binary, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const admin = { identifier: "admin@example.com", password: "a rather long phrase of mine" };
mkdirSync(shots, { recursive: true });
const services = [];

/** Starts the service on a fresh folder and resolves to its address. */
async function start(settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-graphiql-"));
  const env = {
    PATH: process.env.PATH,
    VESTIBULE_LISTEN: "127.0.0.1:0",
    VESTIBULE_ADMIN_EMAIL: admin.identifier,
    VESTIBULE_ADMIN_PASSWORD: admin.password,
    ...settings,
  };
  const service = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  services.push({ service, folder });
  for await (const line of createInterface({ input: service.stdout })) {
    const found = line.match(/^listening on (.*)$/);
    if (found) return found[1];
  }
  throw new Error("the service did not start");
}

/** A page that notes what it asks for elsewhere and what it complains about. */
async function open(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== url && !["data:", "blob:"].includes(protocol)) complaints.push(`foreign: ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (socket.url() !== `${url.replace("http", "ws")}/graphql`) complaints.push(`foreign: ${socket.url()}`);
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${url}/graphiql`);
  await page.locator(".graphiql-query-editor .view-line").first().waitFor();
  return { page, complaints };
}

async function signIn(page, { identifier, password }) {
  await page.getByLabel("Email address or username").fill(identifier);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** The tab of the operation of this name. */
function tabOf(page, name) {
  return page.locator(".graphiql-tabs").getByRole("button", { name, exact: true });
}

/** Goes to the tab and runs it. */
async function run(page, name) {
  await tabOf(page, name).click();
  await page.getByRole("button", { name: /Execute query/ }).click();
}

/** Waits until the answer holds this text. The editor draws spaces that do not break. */
async function answered(page, text) {
  await page.waitForFunction(
    (wanted) => document.querySelector(".result-window")?.textContent.replaceAll("\u00a0", " ").includes(wanted),
    text,
  );
}

/** What the editor of this class holds, as far as it is drawn. */
async function drawn(page, selector) {
  return (await page.locator(selector).innerText()).replaceAll("\u00a0", " ");
}

const browser = await launch();
let passed = 0;
try {
  const url = await start();

  // The files: types, caching, sizes, for clients that take gzip and for those that do not.
  const html = await fetch(`${url}/graphiql`);
  const policy = html.headers.get("content-security-policy");
  assert.doesNotMatch(policy, /https?:|script-src[^;]*unsafe/);
  const names = [...(await html.text()).matchAll(/\/graphiql\/assets\/[^"]+/g)].map(([name]) => name);
  assert.ok(names.length >= 2, "the page has no script or no style sheet");
  for (const name of names) {
    const packed = await fetch(url + name);
    assert.equal(packed.headers.get("content-encoding"), "gzip", name);
    assert.equal(packed.headers.get("cache-control"), "public, max-age=31536000, immutable", name);
    assert.equal(packed.headers.get("x-content-type-options"), "nosniff", name);
    assert.match(packed.headers.get("content-type"), name.endsWith(".css") ? /^text\/css/ : /^text\/javascript/, name);
    const plain = await fetch(url + name, { headers: { "accept-encoding": "identity" } });
    assert.equal(plain.headers.get("content-encoding"), null, name);
    assert.equal(await plain.text(), await packed.text(), name);
  }
  assert.equal((await fetch(`${url}/graphiql/assets/nowhere.js`)).status, 404);
  passed += 1;

  // Signing in by keyboard alone, from the top of the page.
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, permissions: ["clipboard-read", "clipboard-write"] });
  const { page, complaints } = await open(context, url);
  await page.screenshot({ path: join(shots, "graphiql-signed-out.png") });
  await page.keyboard.press("Tab");
  await page.keyboard.type(admin.identifier);
  await page.keyboard.press("Tab");
  await page.keyboard.type("not my password");
  await page.keyboard.press("Enter");
  await page.locator(".bar").getByRole("alert").waitFor();
  await page.keyboard.press("Control+A");
  await page.keyboard.type(admin.password);
  await page.keyboard.press("Enter");
  await page.getByText(`Signed in as`).waitFor();
  assert.equal(await page.locator(".bar").getByRole("alert").count(), 0);
  passed += 1;

  // Running: a query, a mutation with the variables of its tab.
  await run(page, "Me");
  await answered(page, '"username": "admin');
  await answered(page, '"isSuperuser": true');
  await page.screenshot({ path: join(shots, "graphiql-me.png") });
  await run(page, "UpdateMe");
  await answered(page, '"bio": "I collect samples."');
  passed += 1;

  // Listening, over the WebSocket, until stopped.
  await run(page, "WatchOnlineUsers");
  await answered(page, '"username": "admin');
  await page.screenshot({ path: join(shots, "graphiql-subscription.png") });
  await page.getByRole("button", { name: /Stop query/ }).click();
  passed += 1;

  // The schema: its documentation, its explorer, and what the editor says of a field that does not exist.
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.getByRole("link", { name: "Query", exact: true }).click();
  await page.getByText("Returns your own account. API tokens need the scope READ.", { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Show GraphiQL Explorer" }).click();
  await page.locator(".docExplorerWrap, .graphiql-explorer-root").first().waitFor();
  await page.screenshot({ path: join(shots, "graphiql-explorer.png") });
  await page.getByRole("button", { name: "Show Examples" }).click();
  await page.getByRole("button", { name: "passwordPolicy", exact: true }).click();
  await tabOf(page, "PasswordPolicy").waitFor();
  await page.screenshot({ path: join(shots, "graphiql-examples.png") });
  await page.getByRole("button", { name: /Execute query/ }).click();
  await answered(page, '"minLength": 8');
  await page.locator(".graphiql-query-editor").click();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("{ mee ");
  await page.locator(".graphiql-query-editor .squiggly-error").first().waitFor();
  passed += 1;

  // What was changed stays, who was signed in is, and no password or token is kept.
  await page.waitForFunction(() => JSON.stringify(localStorage).includes("mee"));
  await page.reload();
  await page.getByText("Signed in as").waitFor();
  await page.locator(".graphiql-query-editor .view-line").first().waitFor();
  assert.match(await drawn(page, ".graphiql-query-editor"), /mee/);
  await page.getByRole("button", { name: "Copy the access token" }).click();
  await page.getByText("Copied.").waitFor();
  const token = await page.evaluate(() => navigator.clipboard.readText());
  const kept = await page.evaluate(() => JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie);
  assert.ok(token.length > 100 && !kept.includes(token) && !kept.includes(admin.password));
  const { data } = await (await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: "{ me { email } }" }),
  })).json();
  assert.equal(data.me.email, admin.identifier);
  passed += 1;

  // A token that is about to run out is replaced beforehand; one that the service does not take, afterwards.
  const sent = [];
  page.on("request", (request) => {
    const operation = /(?:query|mutation) (\w+)/.exec(request.postData() ?? "")?.[1];
    if (operation) sent.push(operation);
  });
  await page.clock.setFixedTime(Date.now() + 3_600_000);
  await run(page, "Me");
  await answered(page, '"isSuperuser": true');
  assert.deepEqual(sent.splice(0), ["Refresh", "Me"]);
  await page.route(`${url}/graphql`, (route) => route.continue({ headers: { ...route.request().headers(), authorization: "Bearer no" } }), { times: 1 });
  await run(page, "Users");
  await answered(page, '"viewerCan": {');
  assert.deepEqual(sent.splice(0), ["Users", "Refresh", "Users"]);
  passed += 1;

  // Another tab is signed in too, and signed out with the first.
  const other = await open(context, url);
  await other.page.getByText("Signed in as").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  await other.page.getByRole("button", { name: "Sign in" }).waitFor();
  await run(page, "Me");
  await answered(page, "UNAUTHENTICATED");
  assert.deepEqual([...complaints, ...other.complaints], []);
  passed += 1;

  // A second factor, by keyboard alone: a wrong code is announced, and the code of the app signs in. So does a
  // recovery code, after going back to the password.
  const guarded = await start();
  const { secret, recoveryCodes } = await addApp(`${guarded}/graphql`, admin);
  for (const code of [codeOf(secret, 1), recoveryCodes[0]]) {
    const { page: asking, complaints: heard } = await open(await browser.newContext({ bypassCSP: true }), guarded);
    await signIn(asking, admin);
    await asking.locator("input[name=code]:focus").waitFor();
    await asking.evaluate(axe);
    assert.deepEqual((await asking.evaluate(() => globalThis.axe.run(".bar"))).violations.map(({ id }) => id), []);
    await asking.screenshot({ path: join(shots, "graphiql-second-factor.png") });
    await asking.getByRole("button", { name: "Cancel" }).click();
    await signIn(asking, admin);
    await asking.locator("input[name=code]:focus").waitFor();
    await asking.keyboard.type("000000");
    await asking.keyboard.press("Enter");
    await asking.locator(".bar").getByRole("alert").waitFor();
    await asking.getByLabel("Code of the authenticator app, or a recovery code").fill(code);
    await asking.keyboard.press("Enter");
    await asking.getByText("Signed in as").waitFor();
    assert.equal(await asking.locator(".bar").getByRole("alert").count(), 0);
    assert.deepEqual(heard, []);
    passed += 1;
  }

  // Light and dark, wide and narrow: the bar has nothing for an accessibility checker to find.
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1440, 480]) {
      const look = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
      const { page: shown } = await open(look, url);
      await shown.evaluate(axe);
      const { violations } = await shown.evaluate(() => globalThis.axe.run(".bar"));
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], `${colorScheme}, ${width}`);
      await signIn(shown, admin);
      await shown.getByText("Signed in as").waitFor();
      await run(shown, "Me");
      await answered(shown, '"me": {');
      await shown.screenshot({ path: join(shots, `graphiql-${colorScheme}-${width}.png`) });
      await look.close();
      passed += 1;
    }
  }

  // Without introspection the page says so, and runs what it is given.
  const silent = await start({ VESTIBULE_INTROSPECTION: "false" });
  const { page: blind } = await open(await browser.newContext(), silent);
  await blind.getByText("This service does not publish its schema").first().waitFor();
  await signIn(blind, admin);
  await run(blind, "Me");
  await answered(blind, '"isSuperuser": true');
  await blind.screenshot({ path: join(shots, "graphiql-without-introspection.png") });
  passed += 1;
} catch (error) {
  for (const context of browser.contexts()) for (const page of context.pages()) await page.screenshot({ path: join(shots, "graphiql-failed.png") });
  throw error;
} finally {
  await browser.close();
  for (const { service, folder } of services) {
    service.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
console.log(`${passed} passed`);
