// A folder with the real service, and the real proxy in front of it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export const password = "a rather long phrase of mine";

/** For all that is written; it goes away at the end. */
export const folder = mkdtempSync(join(tmpdir(), "vestibule-proxy-"));
const packaging = new URL("../../packaging/", import.meta.url);
const children = [];

/** A port that nobody listens on. */
const given = new Set();

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (given.has(port)) return freePort();
  given.add(port);
  return port;
}

/** Asks again and again, for half a minute at most, until something is there. */
export async function eventually(what, ask) {
  const until = Date.now() + 30_000;
  for (;;) {
    const found = await ask();
    if (found) return found;
    assert.ok(Date.now() < until, `${what} did not come to be`);
    await sleep(100);
  }
}

function run(program, args, options) {
  const child = spawn(program, args, options);
  children.push(child);
  child.ended = new Promise((resolve) => child.once("exit", resolve));
  child.stop = async () => {
    child.kill();
    await child.ended;
  };
  return child;
}

/** Starts the service; resolves once it listens. */
export async function startService(binary, port, publicUrl) {
  const env = {
    PATH: process.env.PATH,
    NO_COLOR: "1",
    VESTIBULE_LOG: "error",
    VESTIBULE_LISTEN: `127.0.0.1:${port}`,
    VESTIBULE_PUBLIC_URL: publicUrl,
    VESTIBULE_TRUSTED_PROXIES: "127.0.0.1/32,::1/128",
    VESTIBULE_ADMIN_PASSWORD: password,
    VESTIBULE_LIMIT_SIGN_IN: "3/15m",
    VESTIBULE_LIMIT_WELCOME: "10000/1h",
    VESTIBULE_REQUEST_TIMEOUT: "60s",
  };
  const service = run(binary, [], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: service.stdout })) {
    if (line.startsWith("listening on ")) {
      service.stdout.resume();
      return service;
    }
  }
  throw new Error("the service did not start");
}

/** A certificate of our own for localhost, which clients here trust. */
export function certificate() {
  const [key, file] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", file], { stdio: "pipe" });
  return { key, file, pem: readFileSync(file) };
}

/** The configuration that operators are given, with what is to be put in its places; none of which may be missing. */
function fill(name, places) {
  let text = readFileSync(new URL(name, packaging), "utf8");
  for (const [place, value] of places) {
    assert.ok(text.includes(place), `packaging/${name} has no ${place}`);
    text = text.replaceAll(place, value);
  }
  return text;
}

/** The locations of nginx that lead to the service, as they are in the configuration. */
const locations = (site) => /^ {4}location \/ .*?(?=^ {4}location @)/ms.exec(site)[0];

/** The same under a path, as they are in the manual. */
function locationsUnder(path) {
  const manual = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const [, snippet] = /```nginx\n(.*?)```/s.exec(manual);
  assert.ok(snippet.includes(`location ${path}/ {`), `the manual has no location ${path}/`);
  return `${snippet}\n`;
}

const proxies = {
  nginx({ key, file }, ports, upstreams, path) {
    const servers = upstreams.map((port) => `    server 127.0.0.1:${port} max_fails=1 fail_timeout=2s;\n`).join("");
    const site = fill("nginx.conf", [
      ["    server 127.0.0.1:8000 max_fails=1 fail_timeout=2s;\n    #server 127.0.0.1:8001 max_fails=1 fail_timeout=2s;\n", servers],
      ["listen 80;", `listen ${ports.plain};`],
      ["listen [::]:80;", ""],
      ["listen 443 ", `listen ${ports.secure} `],
      ["listen [::]:443 ssl http2;", ""],
      ["/etc/ssl/certs/id.example.com.pem", file],
      ["/etc/ssl/private/id.example.com.key", key],
      ["/var/log/nginx/vestibule.log", join(folder, "access.log")],
      ["id.example.com", "localhost"],
      // The path is passed on.
      ...(path ? [[locations(readFileSync(new URL("nginx.conf", packaging), "utf8")), locationsUnder(path)]] : []),
    ]);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => {
      mkdirSync(join(folder, kind), { recursive: true });
      return `${kind}_temp_path ${join(folder, kind)};`;
    });
    const user = process.getuid() === 0 ? "user root;" : "";
    const main = `${user} daemon off; pid ${folder}/nginx.pid; worker_processes 2; error_log ${folder}/error.log;
      events {} http { ${temporary.join(" ")} include ${folder}/site.conf; }`;
    writeFileSync(join(folder, "site.conf"), site);
    writeFileSync(join(folder, "main.conf"), main);
    return ["nginx", ["-e", join(folder, "error.log"), "-c", join(folder, "main.conf")]];
  },

  caddy({ key, file }, ports, upstreams, path) {
    // The path is taken off.
    const beneath = path && [
      ["\treverse_proxy ", `\thandle_path ${path}/* {\n\treverse_proxy `],
      ["\t# Caddy's own errors", "\t}\n\t# Caddy's own errors"],
    ];
    const site = fill("Caddyfile", [
      ["id.example.com {\n", `localhost {\n\ttls ${file} ${key}\n`],
      ["reverse_proxy 127.0.0.1:8000", `reverse_proxy ${upstreams.map((port) => `127.0.0.1:${port}`).join(" ")}`],
      ...(beneath || []),
    ]);
    writeFileSync(join(folder, "Caddyfile"), `{\n\tadmin off\n\thttp_port ${ports.plain}\n\thttps_port ${ports.secure}\n}\n${site}`);
    return ["caddy", ["run", "--config", join(folder, "Caddyfile"), "--adapter", "caddyfile"]];
  },
};

/** Starts the proxy in front of these ports, under this path; resolves once it answers. */
export async function startProxy(kind, certified, ports, upstreams, isUp, path = "") {
  const [program, args] = proxies[kind](certified, ports, upstreams, path);
  const env = { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const log = join(folder, "proxy.log");
  const said = openSync(log, "a");
  const proxy = run(program, args, { env, stdio: ["ignore", said, said] });
  closeSync(said);
  await eventually(kind, () => {
    assert.equal(proxy.exitCode, null, `${kind} ended: ${readFileSync(log, "utf8")}`);
    return isUp();
  });
  return proxy;
}

/** Ends all that was started, and removes the folder. */
export async function cleanUp() {
  await Promise.all(children.filter((child) => child.exitCode === null && child.signalCode === null).map((child) => child.stop()));
  rmSync(folder, { recursive: true, force: true });
}
