// A service for the tests of pages.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Password of the first superuser. */
export const ADMIN_PASSWORD = "a rather long phrase of mine";

/** Starts the service on a fresh folder and resolves to it and its address. */
export async function start(binary, folder, settings = {}) {
  const env = { PATH: process.env.PATH, VESTIBULE_LISTEN: "127.0.0.1:0", VESTIBULE_ADMIN_PASSWORD: ADMIN_PASSWORD, ...settings };
  const service = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: service.stdout })) {
    const found = line.match(/^listening on (.*)$/);
    if (found) return { service, url: found[1] };
  }
  throw new Error("the service did not start");
}

/** Opens the mail with this subject to this address, waiting for the worker, and returns the link in it. */
export async function linkOf(page, url, subject, to = "") {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    await page.goto(`${url}/dev/mail`);
    const mail = page.getByRole("row").filter({ hasText: to }).getByRole("link", { name: subject }).first();
    if (await mail.count()) {
      await mail.click();
      return page.locator("pre a").first().getAttribute("href");
    }
    await page.waitForTimeout(100);
  }
  throw new Error(`no mail "${subject}" came`);
}

/** Asserts that a page has nothing for an accessibility checker to find, and nothing to scroll sideways. */
export async function assertAccessible(assert, page, axe, name, width) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width}`);
}
