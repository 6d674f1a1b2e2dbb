// Sends the hostile requests of `hostile-requests.mjs`, none of which may do harm.
// Usage: node hostile.mjs BINARY [--count]

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { request as open } from "node:http";
import WebSocket from "ws";
import { REQUESTS } from "./hostile-requests.mjs";
import { report } from "./report.mjs";
import { signIn, start } from "./service.mjs";

/** Time limit of a response, in milliseconds. Refusals take a few, in a debug build too. */
const TIME_LIMIT = 4000;

/** Longest harmless response, in bytes. */
const MAX_RESPONSE = 16 * 1024;

/** Largest harmless growth of the process, in bytes. */
const MAX_GROWTH = 32 * 1024 * 1024;

const JSON_TYPE = { "content-type": "application/json" };

/** Password hashes are cheap and rate limits off: the requests must be refused for what they are. */
const SETTINGS = { VESTIBULE_ARGON2: "m=8,t=1,p=1", VESTIBULE_LIMITS: "off" };

/** Sends a request over HTTP; resolves to its response, or to `late` or `dropped`. */
function send(url, { method = "POST", path = "", headers = JSON_TYPE, body }) {
  return new Promise((resolve) => {
    const sent = open(`${url}/graphql${path}`, { method, headers, agent: false });
    const timer = setTimeout(() => {
      resolve({ late: true });
      sent.destroy();
    }, TIME_LIMIT);
    const settle = (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    sent.on("error", () => settle({ dropped: true }));
    sent.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => settle({ status: response.statusCode, text: String(Buffer.concat(chunks)) }));
      response.on("error", () => settle({ dropped: true }));
    });
    sent.end(body);
  });
}

/** Sends a document over a WebSocket; resolves to the first message about it, or to `late` or `dropped`. */
async function subscribe(url, query) {
  const socket = new WebSocket(`${url.replace("http://", "ws://")}/graphql`, "graphql-transport-ws");
  const token = await signIn(url);
  let timer;
  return new Promise((resolve) => {
    timer = setTimeout(() => resolve({ late: true }), TIME_LIMIT);
    const say = (message) => socket.send(JSON.stringify(message));
    const begin = () => say({ type: "connection_init", payload: { Authorization: `Bearer ${token}` } });
    if (socket.readyState === WebSocket.OPEN) begin();
    else socket.on("open", begin);
    socket.on("error", () => resolve({ dropped: true }));
    socket.on("close", () => resolve({ dropped: true }));
    socket.on("message", (data) => {
      const { type, payload } = JSON.parse(data);
      if (type === "connection_ack") say({ id: "1", type: "subscribe", payload: { query } });
      else resolve({ text: JSON.stringify(type === "next" ? payload : { errors: payload }) });
    });
  }).finally(() => {
    clearTimeout(timer);
    socket.terminate();
  });
}

/** True if the response has data: the request was executed. */
function isExecuted({ text }) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return false;
  }
  return [body].flat().some((part) => Object.values(part?.data ?? {}).some((value) => value !== null));
}

const canMeasure = existsSync("/proc/self/clear_refs");

/** Size of the process in memory, in bytes: the present one (`VmRSS`), or the largest (`VmHWM`). */
function size(service, name) {
  const line = readFileSync(`/proc/${service.process.pid}/status`, "utf8").match(new RegExp(`${name}:\\s+(\\d+)`));
  return Number(line[1]) * 1024;
}

/** The harm that a request does; `undefined` for none. */
async function harmOf(service, { times = 1, document, effect, ...request }) {
  const { url } = service;
  // Resets the largest size.
  if (canMeasure) writeFileSync(`/proc/${service.process.pid}/clear_refs`, "5");
  const before = canMeasure ? size(service, "VmRSS") : 0;
  const copies = Array.from({ length: times }, () => (document ? subscribe(url, document) : send(url, request)));
  const outcomes = await Promise.all(copies);
  if (outcomes.some(({ late }) => late)) return `no response after ${TIME_LIMIT / 1000} seconds`;
  const neighbour = await send(url, { body: '{"query":"{ __typename }"}' });
  if (service.process.exitCode !== null || service.process.signalCode !== null) return "the service ended";
  if (neighbour.status !== 200 || !isExecuted(neighbour)) return "other requests are not answered afterwards";
  if (outcomes.some(({ dropped }) => dropped)) return "the connection was dropped";
  const longest = Math.max(...outcomes.map(({ text }) => Buffer.byteLength(text)));
  if (longest > MAX_RESPONSE) return `a response of ${Math.round(longest / 1024)} KiB`;
  const growth = canMeasure ? size(service, "VmHWM") - before : 0;
  if (growth > MAX_GROWTH) return `${Math.round(growth / 1024 / 1024)} MiB of memory`;
  return effect && outcomes.some(isExecuted) ? effect : undefined;
}

const begin = () => start(process.argv[2], SETTINGS);
const failures = [];
let service = await begin();
for (const [name, request] of Object.entries(REQUESTS)) {
  const harm = await harmOf(service, request);
  if (!harm) continue;
  failures.push([name, harm]);
  // It may still be busy.
  await service.stop("SIGKILL");
  service = await begin();
}
await service.stop();
report("hostile requests without harm", Object.keys(REQUESTS).length, failures);
