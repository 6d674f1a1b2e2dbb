// The WebSocket under the client of the package graphql-ws, and by raw frames where that client is too well-behaved.
// Usage: node socket.mjs BINARY [--count]

import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { report } from "./report.mjs";
import { refresh, session, signIn, start } from "./service.mjs";

/** Time limit of a check, in milliseconds. The longest waits nine seconds for the end of an access token. */
const TIME_LIMIT = 25_000;

const LISTEN = "subscription Listen { onlineUsers { id username } }";

const { url, stop } = await start(process.argv[2]);
const address = `${url.replace("http://", "ws://")}/graphql`;
const token = await signIn(url);

/** A client that gives up at the first failure. */
function client(connectionParams, options = {}) {
  return createClient({ url: address, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, onNonLazyError: () => {}, ...options });
}

const signedIn = { Authorization: `Bearer ${token}` };

/** Reads so many results of an operation, and ends it. */
async function take(from, query, most, variables = undefined) {
  const results = [];
  for await (const result of from.iterate({ query, variables })) {
    results.push(result);
    if (results.length === most) break;
  }
  return results;
}

/** What an operation ends with, where it does not end well. */
async function failure(from, query) {
  try {
    await take(from, query, 1);
  } catch (error) {
    return error;
  }
  return assert.fail("the operation did not fail");
}

/** A connection on which frames are sent as they are. */
function raw() {
  const socket = new WebSocket(address, "graphql-transport-ws");
  const messages = [];
  let wake = () => {};
  socket.on("message", (data) => {
    messages.push(JSON.parse(data));
    wake();
  });
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, String(reason)])));
  const opened = new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  return {
    closed,
    opened,
    say: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    async hear() {
      while (messages.length === 0) await new Promise((resolve) => (wake = resolve));
      return messages.shift();
    },
  };
}

/** A raw connection that is signed in. */
async function rawSignedIn() {
  const connection = raw();
  await connection.opened;
  connection.say({ type: "connection_init", payload: signedIn });
  assert.deepEqual(await connection.hear(), { type: "connection_ack" });
  return connection;
}

const checks = {
  async "a query is answered and completed"() {
    const one = client(signedIn);
    assert.deepEqual(await take(one, "query Me { me { username } }"), [{ data: { me: { username: "admin" } } }]);
    await one.dispose();
  },

  async "variables are read, and what fails in a field is a result"() {
    const one = client(signedIn);
    const query = "query Some($first: Int!) { recentSamples(first: $first) { id } onlineCount }";
    assert.deepEqual(await take(one, query, undefined, { first: 3 }), [{ data: { recentSamples: [], onlineCount: 1 } }]);
    const [{ data, errors }] = await take(one, query, undefined, { first: 5000 });
    assert.deepEqual(data, { recentSamples: null, onlineCount: 1 });
    assert.equal(errors[0].extensions.code, "BAD_USER_INPUT");
    await one.dispose();
  },

  async "a subscription begins with what is, and ends when the client says so"() {
    const one = client(signedIn, { lazy: false });
    const [{ data }] = await take(one, LISTEN, 1);
    assert.deepEqual(data.onlineUsers.map((user) => user.username), ["admin"]);
    assert.equal((await take(one, "{ __typename }")).length, 1);
    await one.dispose();
  },

  async "ten subscriptions live on one connection, and an eleventh is refused"() {
    const one = client(signedIn, { lazy: false });
    const running = Array.from({ length: 10 }, () => one.iterate({ query: LISTEN }));
    for (const subscription of running) {
      const { value } = await subscription.next();
      assert.equal(value.data.onlineUsers[0].username, "admin");
    }
    const refused = await failure(one, LISTEN);
    assert.equal(refused[0].extensions.code, "BAD_REQUEST");
    await Promise.all(running.map((subscription) => subscription.return()));
    assert.equal((await take(one, LISTEN, 1)).length, 1);
    await one.dispose();
  },

  async "an invalid document is an error of its operation, and the connection lives on"() {
    const one = client(signedIn, { lazy: false });
    for (const [document, code] of [
      ["subscription {", "GRAPHQL_PARSE_FAILED"],
      ["subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"],
      ["query Q($first: Int!) { recentSamples(first: $first) { id } }", "BAD_USER_INPUT"],
      ["query Q($x: NoSuch = {a: 1}) { __typename }", "GRAPHQL_VALIDATION_FAILED"],
      ["mutation { logout { success } }", "BAD_REQUEST"],
    ]) {
      const errors = await failure(one, document);
      assert.equal(errors[0]?.extensions?.code, code, document);
    }
    assert.equal((await take(one, "{ __typename }")).length, 1);
    await one.dispose();
  },

  async "a wrong token, or none, is sent away with 4403"() {
    for (const parameters of [undefined, {}, { Authorization: "Bearer nonsense" }, { token: "nonsense" }]) {
      const closed = await failure(client(parameters), "{ __typename }");
      assert.equal(closed.code, 4403);
    }
  },

  async "the connection ends with the session"() {
    const own = await signIn(url);
    const one = client({ Authorization: `Bearer ${own}` }, { lazy: false });
    const listening = one.iterate({ query: LISTEN });
    await listening.next();
    const ended = (async () => {
      for (;;) await listening.next();
    })().catch((error) => error);
    await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${own}` },
      body: JSON.stringify({ query: "mutation { logout { success } }" }),
    });
    assert.equal((await ended).code, 4403);
  },

  async "a connection ends with its access token, unless a newer one comes in a ping"() {
    // A token is taken for five seconds longer than it says, for clocks that differ.
    const short = await start(process.argv[2], { VESTIBULE_ACCESS_TTL: "1s" });
    try {
      const to = `${short.url.replace("http://", "ws://")}/graphql`;
      let tokens = await session(short.url);
      const connectionParams = { Authorization: `Bearer ${tokens.accessToken}` };
      const options = { url: to, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, lazy: false, onNonLazyError: () => {} };
      const silent = createClient(options);
      let open;
      const prolonged = createClient({ ...options, on: { connected: (socket) => (open = socket) } });
      const ends = { silent: null, prolonged: null };
      const listen = (from, name) => {
        const listening = from.iterate({ query: LISTEN });
        const ended = (async () => {
          while (!(await listening.next()).done);
        })().catch((error) => (ends[name] = error));
        return ended;
      };
      const silentEnded = listen(silent, "silent");
      const prolongedEnded = listen(prolonged, "prolonged");
      await new Promise((resolve) => setTimeout(resolve, 3000));
      tokens = await refresh(short.url, tokens);
      open.send(JSON.stringify({ type: "ping", payload: { Authorization: `Bearer ${tokens.accessToken}` } }));
      await silentEnded;
      assert.equal(ends.silent.code, 4403);
      assert.equal(ends.silent.reason, "Forbidden: the access token expired");
      assert.equal(ends.prolonged, null);
      await prolongedEnded;
      assert.equal(ends.prolonged.code, 4403);
    } finally {
      await short.stop();
    }
  },

  async "a ping with a token of another session closes the connection"() {
    const connection = await rawSignedIn();
    connection.say({ type: "ping", payload: { Authorization: `Bearer ${await signIn(url)}` } });
    assert.equal((await connection.closed)[0], 4403);
  },

  async "the client's pings are answered"() {
    let pongs = 0;
    const one = client(signedIn, { lazy: false, keepAlive: 20, on: { pong: (received) => (pongs += Number(received)) } });
    const listening = one.iterate({ query: LISTEN });
    await listening.next();
    while (pongs < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    await listening.return();
    await one.dispose();
  },

  async "a good-bye is answered"() {
    const socket = new WebSocket(address, "graphql-transport-ws");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    await new Promise((resolve) => socket.on("open", resolve));
    socket.close(1000);
    assert.equal(await closed, 1000);
  },

  async "two operations of one name close the connection with 4409"() {
    const connection = await rawSignedIn();
    const subscribe = { id: "1", type: "subscribe", payload: { query: LISTEN } };
    connection.say(subscribe);
    assert.equal((await connection.hear()).type, "next");
    connection.say(subscribe);
    assert.deepEqual(await connection.closed, [4409, "Subscriber for 1 already exists"]);
  },

  async "a name is free again after its operation"() {
    const connection = await rawSignedIn();
    for (let round = 0; round < 3; round += 1) {
      connection.say({ id: "1", type: "subscribe", payload: { query: "{ __typename }" } });
      assert.deepEqual(await connection.hear(), { type: "next", id: "1", payload: { data: { __typename: "Query" } } });
      assert.deepEqual(await connection.hear(), { type: "complete", id: "1" });
    }
  },

  async "what is not of the protocol closes the connection with its code"() {
    for (const [code, ...messages] of [
      [4400, "no JSON"],
      [4400, "[]"],
      [4400, { type: "start", id: "1", payload: { query: LISTEN } }],
      [4400, { type: "subscribe", payload: { query: LISTEN } }],
      [4401, { type: "subscribe", id: "1", payload: { query: LISTEN } }],
      [4429, { type: "connection_init", payload: signedIn }, { type: "connection_init", payload: signedIn }],
      [1009, "x".repeat(17 * 1024)],
    ]) {
      const connection = raw();
      await connection.opened;
      messages.forEach(connection.say);
      assert.equal((await connection.closed)[0], code, JSON.stringify(messages).slice(0, 80));
    }
  },

  async "who does not say who they are is sent away with 4408"() {
    const connection = raw();
    await connection.opened;
    assert.equal((await connection.closed)[0], 4408);
  },

  async "no other protocol is spoken"() {
    for (const protocol of ["graphql-ws", "soap"]) {
      const socket = new WebSocket(address, protocol);
      const status = await new Promise((resolve) => {
        socket.on("unexpected-response", (_, response) => resolve(response.statusCode));
        socket.on("open", () => resolve("open")).on("error", ({ message }) => resolve(message));
      });
      assert.equal(status, 400, protocol);
    }
  },
};

/** Why a check fails; `undefined` if it passes. */
async function failureOf(check) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${TIME_LIMIT / 1000} seconds`)), TIME_LIMIT);
  });
  try {
    await Promise.race([check(), late]);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
  }
}

// All at once: each has its own connection, and some wait for a time limit of the service.
const outcomes = await Promise.all(Object.entries(checks).map(async ([name, check]) => [name, await failureOf(check)]));
await stop();
report("graphql-ws", outcomes.length, outcomes.filter(([, failure]) => failure));
// Connections of failed checks are still open.
process.exit();
