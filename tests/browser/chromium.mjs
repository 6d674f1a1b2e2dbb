// Chromium for the tests of pages. Every host but this machine is unreachable.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/** Starts the browser of the environment variable CHROMIUM, or that of Debian. */
export async function launch() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
  const page = await browser.newPage();
  for (const foreign of ["http://example.com/", "http://192.0.2.1/"]) {
    await assert.rejects(page.goto(foreign), /ERR_NAME_NOT_RESOLVED/, `${foreign} is reachable`);
  }
  await page.close();
  return browser;
}
