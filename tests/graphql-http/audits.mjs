// All audits of the package graphql-http against the running service. Every one must pass, those that are only
// recommended too.
// Usage: node audits.mjs BINARY [--count]

import { serverAudits } from "graphql-http";
import { report } from "./report.mjs";
import { start } from "./service.mjs";

const EXPECTED = 61;

const { url, stop } = await start(process.argv[2]);
const levels = { MUST: [0, 0], SHOULD: [0, 0], MAY: [0, 0] };
const failures = [];
try {
  for (const audit of serverAudits({ url: `${url}/graphql` })) {
    const result = await audit.fn();
    const counts = levels[audit.name.split(" ", 1)[0]];
    counts[1] += 1;
    if (result.status === "ok") counts[0] += 1;
    else failures.push([`${audit.id} ${audit.name}`, `${result.status}: ${result.reason}`]);
  }
} finally {
  await stop();
}
const all = Object.values(levels).reduce((sum, [, number]) => sum + number, 0);
if (all !== EXPECTED) throw new Error(`graphql-http has ${all} audits instead of ${EXPECTED}: update EXPECTED`);
const figures = Object.entries(levels).map(([level, [passed, number]]) => `${level} ${passed}/${number}`);
report(`graphql-http audits: ${figures.join(", ")}`, all, failures);
