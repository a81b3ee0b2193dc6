// `npm test`: everything that must hold, step by step. The last line sums up: every test of
// node:test and of the portable programs counts, and each other step counts as one.
//
// Names of steps as arguments pick some (`npm test -- unit`); words after `unit` pick test files
// (`npm test -- unit queue`).

import { join, relative } from "node:path";
import { buildLibrary } from "./build.mjs";
import { testConsumers } from "./consumers.mjs";
import { testFrameworks } from "./frameworks.mjs";
import {
  foldersWithTypes,
  isInstalledIn,
  root,
  SetupError,
  whatIsInstalledIn,
} from "./install.mjs";
import { runWithProgress } from "./progress.mjs";
import { testRuntimes } from "./runtimes.mjs";
import { buildSite } from "./site.mjs";
import { findTestFiles, foldersNeededBy, runUnitTests } from "./unit-tests.mjs";

process.env.CI = "true";

const steps = {
  build: once(() => buildLibrary()),
  lint: once(() => tool("node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings")),
  types: once(() => {
    buildLibrary(); // examples, benchmarks and docs are checked against its declarations
    return tool("scripts/typecheck.mjs");
  }),
  unit: runUnitTests,
  package: once(() => tool("scripts/check-package.mjs")),
  frameworks: testFrameworks,
  consumers: testConsumers,
  runtimes: testRuntimes,
  site: once(buildSite),
};

/** The folders whose packages a step fetches before it runs for the first time. */
const fetches = {
  types: foldersWithTypes,
  unit: (words) => foldersNeededBy(findTestFiles(words)),
  frameworks: () => [join(root, "frameworks")],
  runtimes: () => [join(root, "runtimes")],
  site: () => [join(root, "site")],
};

const args = process.argv.slice(2);
const named = args.filter((arg) => arg in steps);
const rest = args.filter((arg) => !(arg in steps));
const total = { passed: 0, failed: 0 };
const failedSteps = [];
const leftOut = [];

const isEverything = named.length > 0 || process.env.ASYNCIO_ALL_TOOLS === "1";
const chosen =
  named.length > 0 ? named : Object.keys(steps).filter((step) => isEverything || step !== "site");
if (!isEverything) leftOut.push("site: takes a minute or two (`npm run docs`)");
const startedAt = performance.now();
announceFetches();
for (const name of chosen) {
  console.log(`\n== ${name}`);
  const stepStartedAt = performance.now();
  const result = await countFailure(() => steps[name](rest));
  const { passed, failed, skipped = 0 } = result;
  leftOut.push(...(result.leftOut ?? []));
  const seconds = secondsSince(stepStartedAt);
  console.log(
    `${failed > 0 ? "FAILED" : "ok"}: ${passed} passed, ${failed} failed` +
      `${skipped > 0 ? `, ${skipped} skipped` : ""} (${seconds} s)`,
  );
  total.passed += passed;
  total.failed += failed;
  if (failed > 0) failedSteps.push(name);
}

if (leftOut.length > 0) console.log(`\nLeft out:\n  ${leftOut.join("\n  ")}`);
if (failedSteps.length > 0) console.log(`\nFailed: ${failedSteps.join(", ")}`);
console.log(`\nAll of it took ${secondsSince(startedAt)} s.`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

// Before anything is fetched, and before minutes have gone into the steps ahead of it.
function announceFetches() {
  const missingFor = (step) => (fetches[step]?.(rest) ?? []).filter((it) => !isInstalledIn(it));
  const missing = new Set(chosen.flatMap(missingFor));
  if (missing.size === 0) return;
  const without = chosen.filter((step) => missingFor(step).length === 0);
  console.log("Not here yet, and fetched from the npm registry on the way, once:");
  for (const folder of missing)
    console.log(`  into ${relative(root, folder)}/: ${whatIsInstalledIn(folder)}`);
  if (without.length > 0)
    console.log(`To fetch nothing, stop this and run \`npm test -- ${without.join(" ")}\`.`);
}

function secondsSince(instant) {
  return ((performance.now() - instant) / 1000).toFixed(1);
}

// A step that is no test suite: it passes or throws.
function once(step) {
  return async () => {
    await step();
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

async function tool(script, ...args) {
  const { code } = await runWithProgress(script, process.execPath, [join(root, script), ...args], {
    cwd: root,
    stdio: ["ignore", process.stdout.fd, process.stdout.fd],
  });
  if (code !== 0) throw new SetupError(`${script} found problems`);
}
