// `npm test`: everything that must hold, step by step. The last line sums up: every test of
// node:test and of the portable programs counts, and each other step counts as one.
//
// Names of steps as arguments pick some (`npm test -- unit`); words after `unit` pick test files
// (`npm test -- unit queue`).

import { join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { testConsumers } from "./consumers.mjs";
import { testFrameworks } from "./frameworks.mjs";
import { isInstalledIn, root, SetupError } from "./install.mjs";
import { runWithProgress } from "./progress.mjs";
import { testRuntimes } from "./runtimes.mjs";
import { buildSite } from "./site.mjs";
import { runUnitTests } from "./unit-tests.mjs";

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

/** What a step fetches before it runs for the first time. */
const fetches = [
  {
    step: "unit",
    folder: "packages/db",
    what: "pg, Kysely and Drizzle, about 5 MB",
  },
  {
    step: "unit",
    folder: "apps/pagefetch",
    what: "undici and what else pagefetch stands on, about 10 MB",
  },
  {
    step: "frameworks",
    folder: "frameworks",
    what: "Vitest, Jest, TypeScript, bundlers, about 70 MB",
  },
  {
    step: "runtimes",
    folder: "runtimes",
    what: "Node 20, 22 and 26, Bun and Deno, about 250 MB",
  },
  { step: "site", folder: "site", what: "VitePress and TypeDoc, about 70 MB" },
];

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
  const missing = fetches.filter(
    ({ step, folder }) => chosen.includes(step) && !isInstalledIn(join(root, folder)),
  );
  if (missing.length === 0) return;
  const without = chosen.filter((step) => !missing.some((fetch) => fetch.step === step));
  console.log("Not here yet, and fetched from the npm registry on the way, once:");
  for (const { step, folder, what } of missing)
    console.log(`  for "${step}": ${what}, into ${folder}/`);
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
