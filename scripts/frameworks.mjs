// Runs frameworks/testing.spec.mjs under Vitest and Jest: tests that use asyncio-ts/testing must
// work wherever teams write theirs. Both are pinned in frameworks/ and installed on first use.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root } from "./install.mjs";
import { runWithProgress } from "./progress.mjs";

const home = join(root, "frameworks");
const seconds = 60;
/** Where a framework writes what it found: on its output other things may come between. */
const reportFile = join(home, "node_modules/.report.json");

const frameworks = [
  {
    name: "Vitest",
    args: [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--globals",
      "--reporter=json",
      `--outputFile=${reportFile}`,
    ],
  },
  {
    name: "Jest",
    args: [
      "--experimental-vm-modules", // its modules are CommonJS otherwise
      "--no-warnings",
      "node_modules/jest/bin/jest.js",
      "--no-watchman",
      "--json",
      `--outputFile=${reportFile}`,
    ],
  },
];

export function installFrameworks() {
  ensureInstalled(home);
}

// Gives { passed, failed }. Both print the same kind of JSON.
export async function testFrameworks() {
  installFrameworks();
  buildLibrary();
  const total = { passed: 0, failed: 0 };
  for (const { name, args } of frameworks) {
    rmSync(reportFile, { force: true });
    const { output, code, signal } = await runWithProgress(name, process.execPath, args, {
      cwd: home,
      seconds,
    });
    const report = readReport();
    const { numPassedTests: passed = 0, numFailedTests: failed = 0 } = report ?? {};
    const crashed = report === undefined || signal !== null || (code !== 0) !== failed > 0;
    console.log(
      `  ${name}: ${passed} passed, ${failed} failed${crashed ? ", and it crashed" : ""}`,
    );
    if (failed > 0 || crashed) console.log(`exit code ${code}\n${output}`.replace(/^/gm, "    "));
    total.passed += passed;
    total.failed += crashed ? failed + 1 : failed;
  }
  return total;
}

function readReport() {
  return existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, "utf8")) : undefined;
}

if (import.meta.main) {
  const { passed, failed } = await testFrameworks();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
