// The built-in pages in a real browser: without scripts, by keyboard, wide and narrow, light and dark.
// Usage: node pages.mjs BINARY SCREENSHOT_FOLDER

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequire } from "node:module";
import { launch } from "./chromium.mjs";
import { assertAccessible, linkOf, start } from "./service.mjs";

const [binary, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "vestibule-browser-"));
mkdirSync(shots, { recursive: true });

/** Goes to a field by keyboard alone. */
async function tabTo(page, id) {
  for (let presses = 0; presses < 30; presses += 1) {
    if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${id} cannot be reached by keyboard`);
}

const { service, url } = await start(binary, folder);
const browser = await launch();
let passed = 0;
try {
  const password = "quite a new long phrase";
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const page = await plain.newPage();
  page.setDefaultTimeout(10_000);

  // Registering, by mouse, without scripts.
  await page.goto(`${url}/account/sign-in`);
  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("Email address").fill("ada@example.com");
  await page.getByLabel("Password", { exact: true }).fill("short");
  await page.getByLabel("Repeat password").fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("alert").getByRole("link", { name: "Use at least 8 characters." }).waitFor();
  assert.equal(await page.getByLabel("Email address").inputValue(), "ada@example.com");
  await page.screenshot({ path: join(shots, "register-refused.png"), fullPage: true });
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Repeat password").fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("heading", { name: "Check your email" }).waitFor();
  await page.goto(await linkOf(page, url, /Confirm your email address/));
  await page.getByRole("button", { name: "Confirm email address" }).click();
  await page.getByText("You are signed in as").waitFor();
  passed += 1;

  // A forgotten password, by keyboard alone; opening the link twice does not spend it.
  const scripted = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  const keys = await scripted.newPage();
  keys.setDefaultTimeout(10_000);
  await keys.goto(`${url}/account/forgot`);
  await tabTo(keys, "email");
  await keys.keyboard.type("ada@example.com");
  await keys.keyboard.press("Enter");
  await keys.getByRole("heading", { name: "Check your email" }).waitFor();
  const link = await linkOf(keys, url, /Reset your password/);
  await keys.goto(link);
  await keys.goto(link);
  await keys.evaluate((text) => navigator.clipboard.writeText(text), "another long phrase, pasted");
  for (const id of ["newPassword", "newPasswordConfirm"]) {
    await tabTo(keys, id);
    await keys.keyboard.press("Control+V");
  }
  await keys.keyboard.press("Enter");
  await keys.getByRole("status").getByText("Your new password is set").waitFor();
  await tabTo(keys, "identifier");
  await keys.keyboard.type("ada@example.com");
  await tabTo(keys, "password");
  await keys.keyboard.type("another long phrase, pasted");
  await keys.keyboard.press("Enter");
  await keys.getByText("You are signed in as").waitFor();
  passed += 1;

  // Every page, wide and narrow, light and dark: nothing for an accessibility checker to find, nothing to scroll sideways.
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 320]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
      const look = await context.newPage();
      for (const name of ["sign-in", "register", "forgot", "verify", "reset"]) {
        await look.goto(`${url}/account/${name}`);
        await assertAccessible(assert, look, axe, `${name}, ${colorScheme}, ${width}`, width);
        await look.screenshot({ path: join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: true });
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
