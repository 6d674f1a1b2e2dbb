// What clients meet behind a proxy with the configuration in packaging/.
// Usage: node check.mjs nginx|caddy BINARY

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer, get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "./client.mjs";
import { certificate, cleanUp, eventually, folder, freePort, password, startProxy, startService } from "./place.mjs";

const [kind, binary] = process.argv.slice(2);
const MIB = 1024 * 1024;
const LOGIN = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) { tokens { accessToken } errors { code } } }";
const IMPORT = "mutation($f: Upload!) { importUsers(input: { file: $f }) { created errors { code } rowErrors { message } } }";
const CREATE = "mutation($e: String!) { createUser(input: { email: $e }) { user { id } errors { code } } }";
const FORGED = {
  "x-forwarded-for": "203.0.113.66",
  "x-real-ip": "203.0.113.66",
  forwarded: "for=203.0.113.66",
  "x-client-ip": "203.0.113.66",
};

const ports = { plain: await freePort(), secure: await freePort(), service: await freePort(), other: await freePort() };
const url = `https://localhost:${ports.secure}`;
const certified = certificate();
const anyone = new Client(url, certified.pem);
const isUp = () => anyone.ask("/healthz").then((answer) => answer.status === 200, () => false);

// Whatever happens, nothing goes on afterwards.
process.on("uncaughtException", async (error) => {
  console.error(error);
  await cleanUp();
  process.exit(1);
});
process.on("SIGTERM", () => {
  throw new Error("the tests take too long");
});

let service = await startService(binary, ports.service, url);
let proxy = await startProxy(kind, certified, ports, [ports.service], isUp);

async function signIn(client) {
  const { login } = await client.data(LOGIN, { i: "admin", p: password });
  return client.with({ authorization: `Bearer ${login.tokens.accessToken}` });
}

/** A sheet of so many bytes, with a user in each row. */
function sheet(bytes) {
  const rows = ["email,bio\n"];
  let length = rows[0].length;
  for (let row = 0; length < bytes; row += 1) {
    const start = `user${row}@example.com,`;
    const room = bytes - length - start.length - 1;
    // The last two rows share what is left.
    const bio = "x".repeat(room <= 2000 ? room : Math.min(2000, room - 100));
    rows.push(`${start}${bio}\n`);
    length += start.length + bio.length + 1;
  }
  return Buffer.from(rows.join(""));
}

/** An error in GraphQL's shape, whoever it came from. */
function isError(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers["content-type"], /^application\/json/);
  const [error] = answer.json().errors;
  assert.equal(error.extensions.code, code);
  assert.ok(error.message);
}

function isAway(answer) {
  isError(answer, 503, "SERVICE_UNAVAILABLE");
  assert.equal(answer.headers["retry-after"], "5");
}

const admin = await signIn(anyone);
const listening = await admin.socket();

const tests = {
  async "a session tells the client's real address, whatever headers it forges, by HTTP/1.1 and HTTP/2"() {
    const forger = await signIn(anyone.with({ from: "127.0.0.7", ...FORGED }));
    const sessions = "{ sessions { ip isCurrent } }";
    const own = async (answer) => (await answer).json().data.sessions.find((session) => session.isCurrent).ip;
    assert.equal(await own(forger.graphql(sessions)), "127.0.0.7");
    const signedIn = await anyone.with({ from: "127.0.0.17", ...FORGED }).graphqlByHttp2(LOGIN, { i: "admin", p: password });
    const authorization = `Bearer ${signedIn.json().data.login.tokens.accessToken}`;
    assert.equal(await own(anyone.with({ from: "127.0.0.17", ...FORGED, authorization }).graphqlByHttp2(sessions)), "127.0.0.17");
  },

  async "limits count the client's real address, and the trail tells it"() {
    const codes = [];
    for (let host = 1; host <= 5; host += 1) {
      const guesser = anyone.with({ from: "127.0.0.8", "x-forwarded-for": `198.51.100.${host}` });
      const answer = (await guesser.graphql(LOGIN, { i: "admin", p: "a wrong guess" })).json();
      codes.push(answer.errors?.[0].extensions.code ?? answer.data.login.errors[0].code);
    }
    assert.deepEqual(codes, [...Array(3).fill("INVALID_CREDENTIALS"), ...Array(2).fill("RATE_LIMITED")]);
    await signIn(anyone.with({ from: "127.0.0.9", "x-forwarded-for": "127.0.0.8" }));
    const { auditEvents } = await admin.data("{ auditEvents(first: 20) { nodes { action ip } } }");
    const failed = auditEvents.nodes.filter((event) => event.action === "LOGIN_FAILED").map((event) => event.ip);
    assert.deepEqual(failed, Array(3).fill("127.0.0.8"));
  },

  async "a cookie is bound to the host, browsers are told to stay with https, and http leads there"() {
    const answer = await anyone.with({ "sec-fetch-site": "same-origin" }).graphql(LOGIN, { i: "admin", p: password });
    const [cookie] = answer.headers["set-cookie"];
    assert.match(cookie, /^__Host-[^;]+;.*Secure/);
    assert.match(answer.headers["strict-transport-security"], /^max-age=31536000/);
    const plain = await new Promise((resolve, reject) =>
      get(`http://localhost:${ports.plain}/account/sign-in?a=b`, { agent: false }, resolve).on("error", reject),
    );
    assert.equal(plain.statusCode, 308);
    assert.match(plain.headers.location, /^https:\/\/localhost.*\/account\/sign-in\?a=b$/);
  },

  async "nothing is compressed"() {
    const answer = await anyone.with({ "accept-encoding": "gzip, br, zstd" }).ask("/account/sign-in");
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-encoding"], undefined);
  },

  async "a WebSocket carries a subscription, tells the real address, and ends with its session"() {
    listening.say({ type: "connection_init", payload: { Authorization: admin.headers.authorization } });
    assert.deepEqual(await listening.hear(), { type: "connection_ack" });
    listening.say({ id: "1", type: "subscribe", payload: { query: "subscription { onlineUsers { username } }" } });
    assert.deepEqual((await listening.hear()).payload.data.onlineUsers, [{ username: "admin" }]);

    const own = await signIn(anyone.with({ from: "127.0.0.10" }));
    const short = await own.socket();
    short.say({ type: "connection_init", payload: { Authorization: own.headers.authorization } });
    assert.deepEqual(await short.hear(), { type: "connection_ack" });
    await own.data("mutation { logout { success } }");
    assert.equal(await short.closed, 4403);
  },

  async "a file of 10 MiB goes through, and what is larger is refused in GraphQL's shape"() {
    const file = sheet(10 * MIB);
    assert.equal(file.length, 10 * MIB);
    const taken = (await admin.upload(IMPORT, file)).json().data.importUsers;
    assert.deepEqual([taken.errors, taken.rowErrors], [[], []]);
    assert.ok(taken.created > 5000, taken.created);
    const refused = (await admin.upload(IMPORT, Buffer.concat([file, Buffer.from("\n")]))).json().data.importUsers;
    assert.deepEqual(refused.errors, [{ code: "FILE_TOO_LARGE" }]);
    // What the service refuses before it has read it reaches the client all the same.
    for (const length of [200_000, 1_000_000, 5_000_000]) {
      isError(await anyone.graphql(`# ${"x".repeat(length)}\n{ __typename }`), 413, "PAYLOAD_TOO_LARGE");
    }
    const near = Buffer.alloc(11.03 * MIB, "x");
    isError(await admin.upload(IMPORT, near), 413, "PAYLOAD_TOO_LARGE");
    const far = Buffer.alloc(13 * MIB, "x");
    isError(await admin.uploadByHttp2(IMPORT, far), 413, "PAYLOAD_TOO_LARGE");
    // By HTTP/1.1 Caddy cuts off who goes on sending, and the answer with it.
    if (kind === "nginx") isError(await admin.upload(IMPORT, far), 413, "PAYLOAD_TOO_LARGE");
  },

  async "an export comes row by row, to the last"() {
    const started = performance.now();
    const answer = await admin.open("/export/users.csv");
    assert.equal(answer.statusCode, 200);
    let [first, bytes, lines] = [0, 0, 0];
    for await (const chunk of answer) {
      first ||= performance.now() - started;
      bytes += chunk.length;
      for (const byte of chunk) lines += Number(byte === 10);
    }
    const whole = performance.now() - started;
    assert.ok(lines > 5000 && bytes > 10 * MIB, `${lines} lines, ${bytes} bytes`);
    assert.ok(first < whole / 2, `the first rows came after ${first} ms, the last after ${whole} ms`);
    console.log(`      ${lines} lines, ${(bytes / MIB).toFixed(1)} MiB: the first after ${first.toFixed()} ms, the last after ${whole.toFixed()} ms`);
  },

  async "links in mails leave no secret in the proxy's log"() {
    await anyone.ask("/account/reset?uid=x&token=a-secret-of-ours");
    const log = join(folder, "access.log");
    if (kind === "nginx") await eventually("the log", () => readFileSync(log, "utf8").includes("/account/reset"));
    for (const file of [log, join(folder, "proxy.log")]) {
      assert.ok(!existsSync(file) || !readFileSync(file, "utf8").includes("a-secret-of-ours"), file);
    }
  },

  async "a WebSocket in which nothing happens stays open, and the service's pings come through"() {
    await listening.pinged;
    listening.say({ id: "2", type: "subscribe", payload: { query: "{ me { username } }" } });
    assert.deepEqual((await listening.hear()).payload.data, { me: { username: "admin" } });
  },

  async "a service that is away is told as such, and is there again when it is back"() {
    await service.stop();
    isAway(await anyone.graphql("{ __typename }"));
    isAway(await anyone.graphqlByHttp2("{ __typename }"));
    isAway(await anyone.ask("/account/sign-in"));
    service = await startService(binary, ports.service, url);
    await eventually("the service's return", isUp);
    await admin.data("{ me { id } }");
  },

  async "of two instances one may be away; a mutation that was sent is never sent again"() {
    const seen = [];
    const dying = createServer((request, answer) => {
      if (request.url === "/readyz") return answer.end("ready\n");
      seen.push(request.method);
      return request.resume().on("end", () => request.socket.destroy());
    });
    const restart = async () => {
      await proxy.stop();
      const made = await startProxy(kind, certified, ports, [ports.other, ports.service], isUp);
      seen.length = 0;
      return made;
    };
    // Nobody listens at the first: whatever was not sent goes to the second.
    proxy = await restart();
    // It is tried again after five seconds.
    for (const until = Date.now() + 7000; Date.now() < until; await sleep(50)) {
      const { createUser } = await admin.data(CREATE, { e: `away-${Date.now()}@example.com` });
      assert.ok(createUser.user);
    }
    // The first lives, but dies of what it is asked.
    await new Promise((resolve) => dying.listen(ports.other, "127.0.0.1", resolve));
    proxy = await restart();
    await eventually("a mutation that meets the instance that dies", async () => {
      const [before, name] = [seen.length, `sent-${Date.now()}`];
      const answer = await admin.graphql(CREATE, { e: `${name}@example.com` });
      if (seen.length === before) return false;
      assert.deepEqual(seen.slice(before), ["POST"]);
      isAway(answer);
      const { users } = await admin.data("query($s: String!) { users(first: 1, search: $s) { totalCount } }", { s: name });
      assert.equal(users.totalCount, 0);
      return true;
    });
    dying.closeAllConnections();
    await new Promise((resolve) => dying.close(resolve));
  },
};

let passed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    passed += 1;
    console.log(`ok    ${kind}: ${name}`);
  } catch (error) {
    console.error(`FAIL  ${kind}: ${name}:`, error);
  }
}
await cleanUp();
const all = Object.keys(tests).length;
console.log(`${kind}: ${passed} of ${all} passed`);
process.exit(passed === all ? 0 : 1);
