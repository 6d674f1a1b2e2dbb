// What clients meet where the service shares its host: under https://…/id, which nginx passes on and Caddy takes off.
// Usage: node path.mjs nginx|caddy BINARY

import assert from "node:assert/strict";
import { Client } from "./client.mjs";
import { certificate, cleanUp, freePort, password, startProxy, startService } from "./place.mjs";

const [kind, binary] = process.argv.slice(2);
const BASE = "/id";
const ports = { plain: await freePort(), secure: await freePort(), service: await freePort() };
const origin = `https://localhost:${ports.secure}`;
const certified = certificate();
const browser = new Client(origin, certified.pem).with({ "sec-fetch-site": "same-origin", origin });
const isUp = () => browser.ask(`${BASE}/readyz`).then((answer) => answer.status === 200, () => false);

process.on("uncaughtException", async (error) => {
  console.error(error);
  await cleanUp();
  process.exit(1);
});

await startService(binary, ports.service, `${origin}${BASE}`);
await startProxy(kind, certified, ports, [ports.service], isUp, BASE);

/** The cookies that an answer sets, each with where it goes. */
const cookies = (answer) => (answer.headers["set-cookie"] ?? []).map((cookie) => cookie.split("; "));

const page = await browser.ask(`${BASE}/account/sign-in`);
assert.equal(page.status, 200, page.text);
for (const [, address] of page.text.matchAll(/(?:href|action)="([^"]+)"/g)) {
  assert.ok(address.startsWith(`${BASE}/`) || address.startsWith("#"), address);
  if (address.includes(".css")) assert.equal((await browser.ask(address)).status, 200, address);
}
const [csrf] = cookies(page);
assert.match(csrf[0], /^__Secure-csrf=/);
assert.ok(csrf.includes(`Path=${BASE}`) && csrf.includes("Secure"), csrf.join("; "));

const field = /name="csrf" value="([^"]+)"/.exec(page.text)[1];
const form = new URLSearchParams({ csrf: field, identifier: "admin", password });
const headers = { "content-type": "application/x-www-form-urlencoded", cookie: csrf[0] };
const signedIn = await browser.ask(`${BASE}/account/sign-in`, { method: "POST", headers, body: form.toString() });
assert.equal(signedIn.status, 303, signedIn.text);
assert.equal(signedIn.headers.location, `${BASE}/account`);
const refresh = cookies(signedIn).find(([pair]) => pair.startsWith("__Secure-refresh_token="));
assert.ok(refresh.includes(`Path=${BASE}`), refresh.join("; "));
assert.equal((await browser.ask(signedIn.headers.location, { headers: { cookie: refresh[0] } })).status, 200);

const query = "mutation { refresh { tokens { accessToken } errors { code } } }";
const body = JSON.stringify({ query });
const json = { "content-type": "application/json", cookie: refresh[0] };
for (const path of [`${BASE}/graphql`, `${BASE}/graphql/`]) {
  const answer = await browser.ask(path, { method: "POST", headers: { ...json, cookie: refresh[0] }, body });
  assert.deepEqual(answer.json().data.refresh.errors, [], answer.text);
}

const led = await browser.ask(`${BASE}/`);
assert.equal(led.headers.location, `${BASE}/graphiql`);
const graphiql = await browser.ask(`${BASE}/graphiql`);
assert.equal(graphiql.status, 200);
const files = [...graphiql.text.matchAll(/"([^"]*\/graphiql\/assets\/[^"]+)"/g)].map(([, file]) => file);
assert.ok(files.length > 0, graphiql.text);
for (const file of files) assert.equal((await browser.ask(file)).status, 200, file);

assert.equal((await browser.ask(`${BASE}/.well-known/jwks.json`)).status, 200);
assert.equal((await browser.ask(`${BASE}/import/users.xlsx`)).status, 200);
console.log(`ok    ${kind}: pages, forms, cookies, GraphiQL and keys are under ${BASE}`);
await cleanUp();
process.exit(0);
