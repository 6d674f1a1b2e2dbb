// The outcome of a list of checks, for people or for another program.

/**
 * Prints the failures, which are `[name, reason]`, and their number. With `--count` among the arguments, prints the names
 * as JSON instead, and does not fail: `tests/library-layer/check.mjs` judges them.
 */
export function report(title, all, failures) {
  if (process.argv.includes("--count")) {
    console.log(JSON.stringify({ all, failed: failures.map(([name]) => name) }));
    return;
  }
  for (const [name, reason] of failures) console.error(`failed: ${name}:`, reason);
  console.log(`${title}: ${all - failures.length} of ${all} passed`);
  if (failures.length > 0) process.exitCode = 1;
}
