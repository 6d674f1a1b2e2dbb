import { createServer, type Server } from "node:http";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestPage } from "./page";
import { ADMIN, type Service, startService } from "./service";

declare const page: TestPage;

let browser: Browser;
let server: Server;
let origin: string;
let service: Service;

beforeAll(async () => {
  const script = await bundle();
  server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>A tab</title><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  origin = `http://127.0.0.1:${address.port}`;
  service = await startService({ VESTIBULE_ALLOWED_ORIGINS: origin });
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
});
afterAll(async () => {
  await browser.close();
  server.close();
  service.stop();
});

/** A browser with two tabs, signed in in the first, whose tokens can be invalidated. */
async function twoTabs() {
  const context = await browser.newContext();
  const broken = new Set<string>();
  const sent: string[] = [];
  let refused = 0;
  let both: () => void = () => undefined;
  const bothRefused = new Promise<void>((resolve) => {
    both = resolve;
  });
  await context.route(service.url, async (route) => {
    const request = route.request();
    const name = /(?:query|mutation) (\w+)/.exec(request.postData() ?? "")?.[1] ?? "";
    if (request.method() === "POST") sent.push(name);
    const headers = { ...request.headers() };
    const isBroken = broken.has(headers["authorization"]?.replace("Bearer ", "") ?? "");
    if (isBroken) {
      headers["authorization"] = "Bearer rubbish";
      refused += 1;
      if (refused === 2) both();
    }
    // No refresh is sent before both tabs have found their token invalid.
    if (name === "Refresh" && broken.size > 0) await bothRefused;
    await route.continue({ headers }).catch(() => undefined);
  });
  const one = await tab(context);
  await one.evaluate((admin) => page.client.signIn(admin), ADMIN);
  const two = await tab(context);
  await two.evaluate(() => page.client.restore());
  sent.length = 0;
  return { context, one, two, sent, broken };
}

async function tab(context: BrowserContext): Promise<Page> {
  const opened = await context.newPage();
  opened.setDefaultTimeout(20_000);
  await opened.goto(`${origin}/?url=${encodeURIComponent(service.url)}`);
  await opened.waitForFunction(() => "page" in globalThis);
  return opened;
}

/** The current tokens of the tabs, read from a request. */
async function tokenOf(opened: Page): Promise<string> {
  const [request] = await Promise.all([
    opened.waitForRequest((sent) => sent.headers()["authorization"] !== undefined),
    opened.evaluate(() => page.email()),
  ]);
  return request.headers()["authorization"]?.replace("Bearer ", "") ?? "";
}

test("two tabs that refresh at the same time refresh once, and both continue", async () => {
  const { context, one, two, sent, broken } = await twoTabs();
  for (const token of [await tokenOf(one), await tokenOf(two)]) broken.add(token);
  sent.length = 0;
  const emails = await Promise.all([one, one, two, two].map((opened) => opened.evaluate(() => page.email())));
  expect(emails).toEqual(Array(4).fill(ADMIN.identifier));
  expect(sent.filter((name) => name === "Refresh")).toHaveLength(1);
  expect(await tokenOf(one)).toBe(await tokenOf(two));
  await context.close();
});

test("if a tab is closed while it refreshes, the other one refreshes", async () => {
  const { context, one, two, broken } = await twoTabs();
  for (const token of [await tokenOf(one), await tokenOf(two)]) broken.add(token);
  const refreshing = one.waitForRequest((request) => request.postData()?.includes("mutation Refresh") ?? false);
  void one.evaluate(() => page.email()).catch(() => undefined);
  await refreshing;
  const email = two.evaluate(() => page.email());
  await one.close();
  expect(await email).toBe(ADMIN.identifier);
  await context.close();
});

test("if a client is closed while it refreshes, the other tab gets its token", async () => {
  const { context, one, two, sent, broken } = await twoTabs();
  for (const token of [await tokenOf(one), await tokenOf(two)]) broken.add(token);
  sent.length = 0;
  const refreshing = one.waitForRequest((request) => request.postData()?.includes("mutation Refresh") ?? false);
  const emails = [one.evaluate(() => page.email())];
  await refreshing;
  const closed = one.evaluate(() => page.client.close());
  emails.push(two.evaluate(() => page.email()));
  expect(await Promise.all(emails)).toEqual(Array(2).fill(ADMIN.identifier));
  await closed;
  expect(sent.filter((name) => name === "Refresh")).toHaveLength(1);
  await context.close();
});

test("tabs sign in and out together, and scripts never see the cookie", async () => {
  const { context, one, two } = await twoTabs();
  expect(await two.evaluate(() => page.client.session.status)).toBe("signedIn");
  expect(await two.evaluate(() => document.cookie)).toBe("");
  await two.reload();
  await two.waitForFunction(() => "page" in globalThis);
  expect(await two.evaluate(async () => (await page.client.restore()).status)).toBe("signedIn");
  await one.evaluate(() => page.client.signOut());
  await two.waitForFunction(() => page.client.session.status === "signedOut");
  await context.close();
});

async function bundle(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, lib: { entry: fileURLToPath(new URL("page.ts", import.meta.url)), formats: ["es"], fileName: "page" } },
  });
  const output = Array.isArray(built) ? built[0] : built;
  if (output === undefined || !("output" in output)) throw new Error("nothing was built");
  return output.output[0].code;
}
