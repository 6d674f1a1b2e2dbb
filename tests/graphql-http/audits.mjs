// All audits of the package graphql-http against the running service. Every one must pass, those that are only
// recommended too.
// Usage: node audits.mjs BINARY

import { serverAudits } from "graphql-http";
import { start } from "./service.mjs";

const EXPECTED = 61;

const { url, stop } = await start(process.argv[2]);
const counts = { MUST: [0, 0], SHOULD: [0, 0], MAY: [0, 0] };
let passed = 0;
try {
  for (const audit of serverAudits({ url: `${url}/graphql` })) {
    const result = await audit.fn();
    const count = counts[audit.name.split(" ", 1)[0]];
    count[1] += 1;
    if (result.status === "ok") {
      count[0] += 1;
      passed += 1;
    } else {
      console.error(`${result.status}: ${audit.id} ${audit.name}: ${result.reason}`);
    }
  }
} finally {
  await stop();
}
const figures = Object.entries(counts).map(([level, [ok, all]]) => `${level} ${ok}/${all}`);
console.log(`graphql-http audits: ${figures.join(", ")}; ${passed} of ${EXPECTED} passed`);
process.exitCode = passed === EXPECTED && Object.values(counts).every(([ok, all]) => ok === all) ? 0 : 1;
