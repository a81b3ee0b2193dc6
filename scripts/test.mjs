// `npm test`: everything that must hold, step by step. The last line sums up: every test of
// node:test and of the portable programs counts, and each other step counts as one.
//
// Names of steps as arguments pick some (`npm test -- unit`); words after `unit` pick test files
// (`npm test -- unit queue`).

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { testConsumers } from "./consumers.mjs";
import { testFrameworks } from "./frameworks.mjs";
import { root, SetupError } from "./install.mjs";
import { testRuntimes } from "./runtimes.mjs";
import { runUnitTests } from "./unit-tests.mjs";

process.env.CI = "true";

const steps = {
  build: once(() => buildLibrary()),
  lint: once(() => tool("node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings")),
  types: once(() => tool("scripts/typecheck.mjs")),
  unit: runUnitTests,
  package: once(() => tool("scripts/check-package.mjs")),
  frameworks: testFrameworks,
  consumers: testConsumers,
  runtimes: testRuntimes,
};

const args = process.argv.slice(2);
const named = args.filter((arg) => arg in steps);
const rest = args.filter((arg) => !(arg in steps));
const total = { passed: 0, failed: 0 };
const failedSteps = [];

for (const name of named.length > 0 ? named : Object.keys(steps)) {
  console.log(`\n== ${name}`);
  const startedAt = performance.now();
  const { passed, failed, skipped = 0 } = await countFailure(() => steps[name](rest));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    `${failed > 0 ? "FAILED" : "ok"}: ${passed} passed, ${failed} failed` +
      `${skipped > 0 ? `, ${skipped} skipped` : ""} (${seconds} s)`,
  );
  total.passed += passed;
  total.failed += failed;
  if (failed > 0) failedSteps.push(name);
}

if (failedSteps.length > 0) console.log(`\nFailed: ${failedSteps.join(", ")}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

// A step that is no test suite: it passes or throws.
function once(step) {
  return () => {
    step();
    return { passed: 1, failed: 0 };
  };
}

async function countFailure(step) {
  try {
    return await step();
  } catch (error) {
    console.log(error instanceof SetupError ? error.message : error);
    return { passed: 0, failed: 1 };
  }
}

function tool(script, ...args) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: root,
    stdio: ["ignore", process.stdout.fd, process.stdout.fd],
  });
  if (status !== 0) throw new SetupError(`${script} found problems`);
}
