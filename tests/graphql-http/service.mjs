// The real service on a fresh folder, and a superuser who is signed in.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const password = "a rather long phrase of mine";

/** Starts the service; resolves to its address and to what stops it. */
export async function start(binary) {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-protocol-"));
  const env = { PATH: process.env.PATH, VESTIBULE_LISTEN: "127.0.0.1:0", VESTIBULE_ADMIN_PASSWORD: password };
  const service = spawn(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => service.once("exit", resolve));
  const stop = async () => {
    service.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const lines = createInterface({ input: service.stdout });
  for await (const line of lines) {
    const found = line.match(/^listening on (.*)$/);
    if (found) {
      service.stdout.resume();
      return { url: found[1], stop };
    }
  }
  await stop();
  throw new Error("the service did not start");
}

/** The access token of the superuser. */
export async function signIn(url) {
  const query = "mutation SignIn($input: LoginInput!) { login(input: $input) { tokens { accessToken } errors { code } } }";
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables: { input: { identifier: "admin@localhost", password } } }),
  });
  const { data } = await response.json();
  return data.login.tokens.accessToken;
}
