// The real service on a fresh folder, and a superuser who is signed in.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const password = "a rather long phrase of mine";

/** Starts the service; resolves to its address, its process, and a function that stops it. */
export async function start(binary, settings = {}) {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-protocol-"));
  const env = { PATH: process.env.PATH, VESTIBULE_LISTEN: "127.0.0.1:0", VESTIBULE_ADMIN_PASSWORD: password, ...settings };
  const service = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => service.once("exit", resolve));
  const clear = () => rmSync(folder, { recursive: true, force: true });
  const abandon = () => {
    service.kill("SIGKILL");
    clear();
  };
  process.once("exit", abandon);
  const stop = async (signal = "SIGTERM") => {
    service.kill(signal);
    await ended;
    process.off("exit", abandon);
    clear();
  };
  const lines = createInterface({ input: service.stdout });
  for await (const line of lines) {
    const found = line.match(/^listening on (.*)$/);
    if (found) {
      service.stdout.resume();
      return { url: found[1], process: service, stop };
    }
  }
  await stop();
  throw new Error("the service did not start");
}

async function post(url, query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()).data;
}

const TOKENS = "tokens { accessToken refreshToken } errors { code }";

/** The tokens of a new session of the superuser. */
export async function session(url) {
  const query = `mutation SignIn($input: LoginInput!) { login(input: $input) { ${TOKENS} } }`;
  return (await post(url, query, { input: { identifier: "admin@localhost", password } })).login.tokens;
}

/** The next tokens of a session. */
export async function refresh(url, { refreshToken }) {
  const query = `mutation Refresh($input: RefreshInput!) { refresh(input: $input) { ${TOKENS} } }`;
  return (await post(url, query, { input: { refreshToken } })).refresh.tokens;
}

/** The access token of the superuser. */
export async function signIn(url) {
  return (await session(url)).accessToken;
}
