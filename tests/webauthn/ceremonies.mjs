// 1,000 ceremonies of passkeys, judged by the service and by two libraries. A seed makes them repeatable.
// Usage: node ceremonies.mjs BINARY PYTHON [SEED]

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { Authenticator, BENDS, FORGERIES } from "./authenticator.mjs";

const [binary, python, seed = "1"] = process.argv.slice(2);
const REGISTRATIONS = 250;
const ASSERTIONS = 3;
const PASSWORD = "a rather long phrase of mine";
const ALGORITHMS = [-8, -7, -257];

/** Numbers from 0 to 1, the same for each seed (mulberry32). */
let state = Number(seed);
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** One of these in half of the cases, otherwise the first. */
function choose(object) {
  const names = Object.keys(object);
  return random() < 0.5 ? names[0] : names[Math.floor(random() * names.length)];
}

const folder = mkdtempSync(join(tmpdir(), "vestibule-webauthn-"));
const env = {
  PATH: process.env.PATH,
  VESTIBULE_LISTEN: "127.0.0.1:0",
  VESTIBULE_ADMIN_PASSWORD: PASSWORD,
  VESTIBULE_ARGON2: "m=64,t=1,p=1",
  VESTIBULE_LIMITS: "off",
  VESTIBULE_REAUTHENTICATE_AFTER: "1h",
  VESTIBULE_ACCESS_TTL: "1h",
};
const service = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
const judge = spawn(python, ["judge.py"], { stdio: ["pipe", "pipe", "inherit"] });
const verdicts = createInterface({ input: judge.stdout })[Symbol.asyncIterator]();
let url;
for await (const line of createInterface({ input: service.stdout })) {
  url = line.match(/^listening on (.*)$/)?.[1];
  if (url) break;
}
assert.ok(url, "the service starts");
const origin = url.replace("127.0.0.1", "localhost");
let token;

async function send(query, variables = {}) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return Object.values(data)[0];
}

async function byPython(ceremony) {
  judge.stdin.write(`${JSON.stringify(ceremony)}\n`);
  return (await verdicts.next()).value === "1";
}

const accepted = (judging) => judging.then((result) => result.verified, () => false);

const counts = { registrations: 0, assertions: 0, accepted: 0 };
function compare(what, verdicts) {
  assert.equal(new Set(Object.values(verdicts)).size, 1, `${what}: ${JSON.stringify(verdicts)}, seed ${seed}`);
  counts.accepted += Number(verdicts.service);
}

const START = "mutation { startPasskeyRegistration { options { challenge rp { id } user { id } } errors { code } } }";
const FINISH = "mutation($input: FinishPasskeyRegistrationInput!) { finishPasskeyRegistration(input: $input) { passkey { id } errors { code } } }";
const ASK = "mutation { startPasskeyLogin { options { challenge rpId } } }";
const SIGN_IN = "mutation($input: LoginWithPasskeyInput!) { loginWithPasskey(input: $input) { user { id } errors { code } } }";
const DELETE = "mutation($id: ID!) { deletePasskey(input: { id: $id }) { errors { code } } }";

/** Registers with a bent answer, and returns the new passkey if the service accepts it. */
async function register(authenticator, bend) {
  const { options } = await send(START);
  const credential = authenticator.create(options, origin, BENDS[bend]);
  const { passkey } = await send(FINISH, { input: { credential } });
  const expected = { expectedChallenge: options.challenge, expectedOrigin: origin, expectedRPID: "localhost" };
  compare(`registration, ${bend}`, {
    service: passkey !== null,
    simplewebauthn: await accepted(verifyRegistrationResponse({ response: credential, ...expected, supportedAlgorithmIDs: ALGORITHMS })),
    python: await byPython({ credential, challenge: options.challenge, domain: "localhost", origin }),
  });
  return passkey;
}

/** Signs in with a bent or forged answer. */
async function signIn(authenticator, stored, bend, forgery) {
  const { options } = await send(ASK);
  const passkey = authenticator.get(options, origin, BENDS[bend]);
  FORGERIES[forgery](passkey.response, random());
  const { user } = await send(SIGN_IN, { input: { passkey } });
  const expected = { expectedChallenge: options.challenge, expectedOrigin: origin, expectedRPID: "localhost" };
  const credential = { id: passkey.id, publicKey: authenticator.publicKey, counter: stored.counter };
  compare(`assertion, ${bend}, ${forgery}`, {
    service: user !== null,
    simplewebauthn: await accepted(verifyAuthenticationResponse({ response: passkey, ...expected, credential })),
    python: await byPython({ credential: passkey, challenge: options.challenge, domain: "localhost", origin, publicKey: authenticator.publicKey.toString("base64url"), counter: stored.counter }),
  });
  if (user) stored.counter = authenticator.counter;
}

try {
  const login = "mutation($p: String!) { login(input: { identifier: \"admin\", password: $p }) { tokens { accessToken } } }";
  for (let round = 0; round < REGISTRATIONS; round += 1) {
    // A user has 50 sessions at most, and each accepted assertion opens one.
    token = (await send(login, { p: PASSWORD })).tokens.accessToken;
    const authenticator = new Authenticator(round);
    let passkey = await register(authenticator, choose(BENDS));
    counts.registrations += 1;
    while (!passkey) passkey = await register(authenticator, "none");
    const stored = { counter: authenticator.counter };
    for (let use = 0; use < ASSERTIONS; use += 1) {
      // The next count, a large step, the same again, or one back.
      authenticator.counter = stored.counter + [1, 1, 1, 1000, 0, -1][Math.floor(random() * 6)];
      await signIn(authenticator, stored, choose(BENDS), choose(FORGERIES));
      counts.assertions += 1;
    }
    await send(DELETE, { id: passkey.id });
  }
} finally {
  judge.stdin.end();
  service.kill();
  rmSync(folder, { recursive: true, force: true });
}
const all = counts.registrations + counts.assertions;
assert.ok(counts.accepted > all / 5 && counts.accepted < all, "some are right, and some are bent");
console.log(`${all} ceremonies judged alike, ${counts.accepted} of them accepted`);
