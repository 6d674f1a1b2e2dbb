// The console in a real browser: wide and narrow, light and dark, without scripts, and by keyboard.
// Usage: node console.mjs BINARY SCREENSHOT_FOLDER

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "./chromium.mjs";
import { ADMIN_PASSWORD, assertAccessible, start } from "./service.mjs";

const [binary, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "vestibule-console-"));
mkdirSync(shots, { recursive: true });

const PEOPLE = [
  ["Anna Katharina", "Größmann-Übermüller"], ["Jean-Baptiste", "de la Fontaine"], ["محمد", "عبد الرحمن الخوارزمي"],
  ["小明", "王"], ["<img src=x onerror=alert(1)>", "O'Brien"], ["Sofía", "Hernández"], ["Ada", "Lovelace"],
  ["Wolfeschlegelsteinhausenbergerdorff".repeat(4), "Długienazwisko".repeat(8)], ["Yūko", "佐藤"], ["Oluwaseun", "Adébáyò"],
];

/** Creates users by the API. */
async function fill(url, count) {
  const call = async (query, variables, token) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    const { data, errors } = await response.json();
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  const login = "mutation($p: String!) { login(input: { identifier: \"admin\", password: $p }) { tokens { accessToken } } }";
  const token = (await call(login, { p: ADMIN_PASSWORD })).login.tokens.accessToken;
  const create = "mutation($i: CreateUserInput!) { createUser(input: $i) { user { id } errors { message } } }";
  let last;
  for (let number = 0; number < count; number += 1) {
    const [firstName, lastName] = PEOPLE[number % PEOPLE.length];
    const input = {
      email: `person.${number}@${number % 3 ? "example.com" : "a-rather-long-department.example.org"}`,
      username: `person${number}`, firstName: firstName.slice(0, 150), lastName: lastName.slice(0, 150),
      role: ["MEMBER", "MEMBER", "AGENT", "MANAGER"][number % 4], isStaff: number % 17 === 0, isActive: number % 11 !== 0,
    };
    const { createUser } = await call(create, { i: input }, token);
    assert.deepEqual(createUser.errors, []);
    if (number % PEOPLE.length === 6) last = createUser.user.id;
  }
  return last;
}

/** Goes to an element by keyboard alone. */
async function tabTo(page, matches) {
  for (let presses = 0; presses < 80; presses += 1) {
    if (await page.evaluate(matches)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`nothing matches ${matches}`);
}

async function signIn(page, url) {
  await page.goto(`${url}/console/users`);
  await page.getByLabel("Email address or username").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Users", exact: true }).waitFor();
}

const { service, url } = await start(binary, folder, { VESTIBULE_LIMITS: "off" });
const browser = await launch();
let passed = 0;
try {
  const ada = await fill(url, Number(process.env.CONSOLE_USERS ?? 60));

  // Without scripts: find and correct a typo, deactivate a leaver.
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const page = await plain.newPage();
  page.setDefaultTimeout(10_000);
  await signIn(page, url);
  await page.getByRole("searchbox").fill("lovelace");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("link", { name: "Ada Lovelace" }).first().click();
  await page.getByLabel("Last name").fill("Byron");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByRole("status").getByText("The changes are saved.").waitFor();
  await page.getByRole("link", { name: "Deactivate" }).click();
  await page.getByRole("button", { name: "Deactivate" }).click();
  await page.getByRole("status").getByText("deactivated and signed out").waitFor();
  await page.getByRole("link", { name: "Users" }).first().click();
  await page.getByRole("checkbox").nth(1).check();
  await page.getByRole("checkbox").nth(2).check();
  await page.getByRole("button", { name: "Send a link" }).click();
  await page.getByRole("heading", { name: /Send a link to/ }).waitFor();
  passed += 1;

  // With scripts: search while typing, selection of all, a question in a dialog, by keyboard.
  const scripted = await browser.newContext({ timezoneId: "Asia/Tokyo", permissions: ["clipboard-read", "clipboard-write"] });
  const keys = await scripted.newPage();
  keys.setDefaultTimeout(10_000);
  const problems = [];
  keys.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  keys.on("dialog", (dialog) => problems.push(`dialog: ${dialog.message()}`));
  await signIn(keys, url);
  await tabTo(keys, () => document.activeElement?.id === "search");
  await keys.keyboard.type("hern");
  await keys.waitForFunction(() => document.querySelectorAll("#results tbody tr").length < 10 && location.search.includes("hern"));
  assert.equal(await keys.evaluate(() => document.activeElement?.id), "search", "typing goes on");
  await keys.reload();
  assert.equal(await keys.getByRole("searchbox").inputValue(), "hern");
  await tabTo(keys, () => document.activeElement?.getAttribute("aria-label") === "Select all users on this page");
  await keys.keyboard.press("Space");
  const rows = await keys.locator("tbody tr").count();
  await keys.getByText(`${rows} selected:`).waitFor();
  await tabTo(keys, () => document.activeElement?.textContent?.includes("Hernández"));
  await keys.keyboard.press("Enter");
  await keys.getByRole("heading", { name: "Sofía Hernández" }).waitFor();
  await tabTo(keys, () => document.activeElement?.textContent === "Delete");
  await keys.keyboard.press("Enter");
  const dialog = keys.getByRole("dialog");
  await dialog.getByRole("heading", { name: /Delete Sofía/ }).waitFor();
  await keys.evaluate(axe);
  assert.deepEqual((await keys.evaluate(() => globalThis.axe.run())).violations.map(({ id }) => id), []);
  await keys.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await keys.getByRole("button", { name: "Copy" }).click();
  assert.match(await keys.evaluate(() => navigator.clipboard.readText()), /^[0-9a-f-]{36}$/);
  const time = keys.locator("dd time").first();
  assert.match(await time.getAttribute("title"), / UTC$/);
  const [download] = await Promise.all([
    keys.waitForEvent("download"),
    keys.goto(`${url}/console/users`).then(() => keys.getByRole("link", { name: "Export Excel" }).click()),
  ]);
  assert.match(download.suggestedFilename(), /^users-.*\.xlsx$/);
  assert.deepEqual(problems, []);
  passed += 1;

  // Every screen, wide and narrow, light and dark.
  const cookies = await scripted.cookies();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 320]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
      await context.addCookies(cookies);
      const look = await context.newPage();
      const screens = {
        users: "users", filtered: "users?isActive=true&role=MEMBER", none: "users?search=nobody", new: "users/new",
        overview: "?days=90", mails: "mails", audit: "audit", system: "system", import: "import",
        user: `users/${ada}`, delete: `users/${ada}/delete`, password: `users/${ada}/set-password`, missing: "users/x",
      };
      for (const [name, path] of Object.entries(screens)) {
        await look.goto(`${url}/console${path.startsWith("?") ? "" : "/"}${path}`);
        await assertAccessible(assert, look, axe, `console ${name}, ${colorScheme}, ${width}`, width);
        await look.screenshot({ path: join(shots, `console-${name}-${colorScheme}-${width}.png`), fullPage: true });
        passed += 1;
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
  service.kill();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, 0 failed`);
