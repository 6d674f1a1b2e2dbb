import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

/** The first superuser of a service under test. */
export const ADMIN = { identifier: "admin@example.com", password: "correct horse battery staple 42" };

/** A real service with a new data directory. */
export interface Service {
  /** Its address, without a path. */
  origin: string;
  /** Its GraphQL endpoint. */
  url: string;
  /** Waits for the newest email to this address with this text in its subject. */
  mail(to: string, subject: string): Promise<string>;
  /** Stops it and removes its directory. */
  stop(): void;
}

/** Starts the service that VESTIBULE_BIN names. */
export async function startService(settings: Record<string, string> = {}): Promise<Service> {
  const binary = resolve(process.env["VESTIBULE_BIN"] ?? "../../target/debug/vestibule");
  if (!existsSync(binary)) throw new Error(`VESTIBULE_BIN names no file: ${binary}`);
  const folder = mkdtempSync(join(tmpdir(), "vestibule-typescript-"));
  const service = spawn(binary, ["serve"], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      VESTIBULE_LISTEN: "127.0.0.1:0",
      VESTIBULE_DATA_DIR: folder,
      VESTIBULE_ADMIN_EMAIL: ADMIN.identifier,
      VESTIBULE_ADMIN_PASSWORD: ADMIN.password,
      VESTIBULE_LOG: "warn",
      ...settings,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const origin = await addressOf(service);
  return {
    origin,
    url: `${origin}/graphql`,
    mail: (to, subject) => waitFor(() => newestMail(join(folder, "mail"), to, subject)),
    stop() {
      service.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Polls until there is a result. */
export async function waitFor<T>(ask: () => T | undefined): Promise<T> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const answer = ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it did not come");
}

async function addressOf(service: ChildProcess): Promise<string> {
  if (service.stdout === null) throw new Error("the service has no output");
  for await (const line of createInterface({ input: service.stdout })) {
    const address = /^listening on (.*)$/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error("the service did not start");
}

function newestMail(folder: string, to: string, subject: string): string | undefined {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".eml"))
      .sort()
      .reverse()
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .find((mail) => /^To: (.*)$/m.exec(mail)?.[1]?.includes(to) && mail.includes(`Subject: ${subject}`));
  } catch {
    return undefined;
  }
}
