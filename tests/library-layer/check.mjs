// Counts the shortcomings of async-graphql-axum by the checks of `tests/graphql-http`, and compares them with
// `recorded.json`. Passes as long as each of them is still there. `--record` writes the file anew.
// Usage: node check.mjs BINARY [--record]

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const PAGE = "docs/decisions/graphql-over-http.md";

/** The scripts, with the name of their checks and the verb of a failure. */
const SCRIPTS = {
  audits: ["audits", "fail"],
  socket: ["WebSocket checks", "fail"],
  hostile: ["hostile requests", "do harm"],
};

/** Checks that fail only if the server of this check does not work. */
const BASICS = [
  "a query is answered and completed",
  "a subscription begins with what is, and ends when the client says so",
];

const here = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(here(path), "utf8");

function count(script) {
  const path = here(`../graphql-http/${script}.mjs`).pathname;
  return JSON.parse(execFileSync(process.execPath, [path, binary, "--count"], { stdio: ["ignore", "pipe", "inherit"] }));
}

const [binary, mode] = process.argv.slice(2);
const version = read("../../Cargo.lock").match(/name = "async-graphql-axum"\nversion = "(.*)"/)[1];
const counted = { version, ...Object.fromEntries(Object.keys(SCRIPTS).map((script) => [script, count(script)])) };
const problems = BASICS.filter((name) => counted.socket.failed.includes(name)).map((name) => {
  return `the server of this check does not work: ${name}`;
});
if (mode === "--record") writeFileSync(here("recorded.json"), `${JSON.stringify(counted, null, 2)}\n`);

const recorded = JSON.parse(read("recorded.json"));
const page = read(`../../${PAGE}`);
for (const [script, [checks, fail]] of Object.entries(SCRIPTS)) {
  const { all, failed } = recorded[script];
  const figure = `${failed.length} of ${all}`;
  const repaired = failed.filter((name) => !counted[script].failed.includes(name));
  for (const name of counted[script].failed.filter((name) => !failed.includes(name))) {
    console.log(`new among the ${checks} that ${fail}: ${name}`);
  }
  console.log(`async-graphql-axum ${version}: ${counted[script].failed.length} of ${counted[script].all} ${checks} ${fail}`);
  if (repaired.length > 0) {
    problems.push(`async-graphql-axum has caught up on ${checks}: reconsider ${PAGE}: ${repaired.join("; ")}`);
  } else if (counted[script].all !== all) {
    problems.push(`${counted[script].all} ${checks} exist, and ${all} are recorded: run tests/library-layer/run --record`);
  }
  if (!new RegExp(`\\b${figure}\\b`).test(page)) problems.push(`${PAGE} does not say that ${figure} ${checks} ${fail}: correct its figures`);
}
if (!page.includes(`async-graphql-axum ${recorded.version}`)) {
  problems.push(`${PAGE} does not name async-graphql-axum ${recorded.version}: correct its version`);
}
if (recorded.version !== version) {
  problems.push(`async-graphql-axum ${recorded.version} is recorded: run tests/library-layer/run --record`);
}
problems.forEach((problem) => console.error(problem));
process.exitCode = problems.length === 0 ? 0 : 1;
