// The account pages of a signed-in user in a real browser: without scripts, from an application on another site, with the
// niceties of the script, and every page with awkward names, wide and narrow, light and dark.
// Usage: node account.mjs BINARY SCREENSHOT_FOLDER

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "./chromium.mjs";
import { ADMIN_PASSWORD, assertAccessible, start } from "./service.mjs";

const [binary, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "vestibule-account-"));
mkdirSync(shots, { recursive: true });

const logo = join(folder, "logo.svg");
writeFileSync(
  logo,
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#ffb000"/><path d="M9 16h14" stroke="#000" stroke-width="4"/></svg>',
);

// An application on another site: for browsers, "localhost" is not the site of 127.0.0.1.
const application = createServer((request, response) => {
  response.setHeader("content-type", "text/html");
  response.end(`<title>app</title><p>the application</p><a href="${request.url.slice(1)}">account</a>`);
});
await new Promise((listening) => application.listen(0, "localhost", listening));
const app = `http://localhost:${application.address().port}`;
const { service, url } = await start(binary, folder, {
  VESTIBULE_ALLOWED_ORIGINS: app,
  VESTIBULE_SITE_LOGO: logo,
  VESTIBULE_SITE_COLOR: "#ffb000",
  VESTIBULE_SITE_NAME: "Größmann & Töchter",
  VESTIBULE_IMPRINT_URL: "https://example.com/imprint",
  VESTIBULE_PRIVACY_URL: "https://example.com/privacy",
});
const browser = await launch();
let passed = 0;

async function signIn(page, query = "") {
  await page.goto(`${url}/account/sign-in${query}`);
  await page.getByLabel("Email address or username").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

try {
  // Without scripts: details, photo, a token, the archive, a change of the address, and the end of the session.
  const plain = await browser.newContext({ javaScriptEnabled: false, acceptDownloads: true });
  const page = await plain.newPage();
  page.setDefaultTimeout(10_000);
  await signIn(page);
  await page.getByRole("heading", { name: "Your account" }).waitFor();
  await page.getByRole("link", { name: "Profile" }).click();
  await page.getByLabel("First name").fill("Wolfeschlegelsteinhausenbergerdorff".repeat(3));
  await page.getByLabel("Last name").fill("محمد 山田太郎 <b>bold</b>");
  await page.getByLabel("About you").fill("多言語の紹介文です。\n<img onerror=alert(1)>");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").getByText("Your profile is saved.").waitFor();
  const picture = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
    "base64",
  );
  await page.getByLabel("New photo").setInputFiles({ name: "me.png", mimeType: "image/png", buffer: picture });
  await page.getByRole("button", { name: "Upload the photo" }).click();
  await page.getByRole("status").getByText("Your photo is saved.").waitFor();
  assert.ok(await page.locator("img.photo").evaluate((image) => image.complete && image.naturalWidth > 0), "the photo is shown");
  assert.ok(await page.locator(".site img").evaluate((image) => image.naturalWidth > 0), "the logo is shown");
  passed += 1;

  await page.goto(`${url}/account/tokens/new`);
  await page.getByLabel("Name of the token").fill("夜間エクスポート");
  await page.getByLabel("Read", { exact: true }).check();
  await page.getByRole("button", { name: "Create the token" }).click();
  assert.match(await page.locator("code").textContent(), /^vst_/);
  await page.screenshot({ path: join(shots, "token-secret.png"), fullPage: true });
  await page.goto(`${url}/account/data`);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download the archive" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^account-.*\.zip$/);
  await page.goto(`${url}/account/email`);
  await page.getByLabel("New email address").fill("new@example.com");
  await page.getByLabel("Current password").fill(ADMIN_PASSWORD);
  await page.getByRole("button", { name: "Send the link", exact: true }).click();
  await page.getByText("We sent a link to new@example.com.").waitFor();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByText("You are signed out.").waitFor();
  passed += 1;

  // An application on another site links here: the sign-in leads back, and then its links find the session.
  const context = await browser.newContext({ timezoneId: "America/New_York" });
  const guest = await context.newPage();
  guest.setDefaultTimeout(10_000);
  const back = `returnTo=${encodeURIComponent(`${app}/done`)}`;
  await guest.goto(`${app}/${url}/account/sign-in?${back}`);
  await guest.getByRole("link", { name: "account" }).click();
  await guest.getByRole("link", { name: /Back to localhost/ }).waitFor();
  await guest.getByLabel("Email address or username").fill("admin");
  await guest.getByLabel("Password", { exact: true }).fill("wrong");
  await guest.keyboard.press("Enter");
  await guest.getByRole("alert").waitFor();
  await guest.getByLabel("Password", { exact: true }).fill(ADMIN_PASSWORD);
  await guest.keyboard.press("Enter");
  await guest.getByText("the application").waitFor();
  assert.equal(guest.url(), `${app}/done`);
  await guest.goto(`${app}/${url}/account/sessions?${back}`);
  await guest.getByRole("link", { name: "account" }).click();
  await guest.getByRole("heading", { name: "Devices" }).waitFor();
  await guest.getByText("This device").waitFor();
  await guest.goto(`${app}/${url}/account/sign-in?${back}`);
  await guest.getByRole("link", { name: "account" }).click();
  await guest.getByRole("link", { name: "Continue" }).click();
  await guest.getByText("the application").waitFor();
  passed += 1;

  // The script: times in the reader's zone, a password that is shown, and no second click.
  await guest.goto(`${url}/account/sessions`);
  const time = guest.locator("time").first();
  assert.match(await time.getAttribute("title"), /UTC$/);
  assert.doesNotMatch(await time.textContent(), /UTC/);
  await guest.goto(`${url}/account/deactivate`);
  await guest.getByLabel("Current password", { exact: true }).fill("wrong");
  await guest.getByRole("button", { name: "Show: Current password" }).click();
  assert.equal(await guest.locator("#currentPassword").getAttribute("type"), "text");
  await guest.getByRole("button", { name: "Hide: Current password" }).click();
  let sent = 0;
  guest.on("request", (request) => {
    if (request.method() === "POST") sent += 1;
  });
  await guest.getByRole("button", { name: "Deactivate my account" }).dblclick();
  await guest.getByRole("alert").waitFor();
  assert.equal(sent, 1, "a double click sends one form");
  passed += 1;

  // Every page, wide and narrow, light and dark: nothing for an accessibility checker to find, nothing to scroll sideways.
  const cookies = await context.cookies();
  const token = await guest.goto(`${url}/account/tokens`).then(() => guest.locator(".rows a").first().getAttribute("href"));
  const views = {
    account: "/account",
    profile: "/account/profile",
    email: "/account/email",
    "own-password": "/account/password",
    "own-security": "/account/security",
    sessions: "/account/sessions",
    tokens: "/account/tokens",
    "token-new": "/account/tokens/new",
    token,
    data: "/account/data",
    deactivate: "/account/deactivate",
    delete: "/account/delete",
    "sign-out": "/account/sign-out",
    "sign-in-present": `/account/sign-in?${back}`,
    prove: `/account/prove?${back}`,
  };
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 320]) {
      const looking = await browser.newContext({ colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
      await looking.addCookies(cookies);
      const look = await looking.newPage();
      for (const [name, path] of Object.entries(views)) {
        await look.goto(`${url}${path}`);
        await assertAccessible(assert, look, axe, `${name}, ${colorScheme}, ${width}`, width);
        await look.screenshot({ path: join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: true });
        passed += 1;
      }
      await looking.close();
    }
  }

  // At twice the size of text, nothing is cut off.
  const zoomed = await browser.newContext({ viewport: { width: 640, height: 800 }, deviceScaleFactor: 2 });
  await zoomed.addCookies(cookies);
  const zoom = await zoomed.newPage();
  for (const path of Object.values(views)) {
    await zoom.goto(`${url}${path}`);
    await zoom.evaluate(() => {
      document.documentElement.style.fontSize = "200%";
    });
    assert.ok(await zoom.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} is wider than its window`);
  }
  passed += 1;
} finally {
  await browser.close();
  service.kill();
  application.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, 0 failed`);
