// Runs the test files with node:test, each in a process of its own, and shows what failed. All
// counts come from the runner's summary events.

import { globSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { inspect } from "node:util";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, withLockFile } from "./install.mjs";
import { reportProgress } from "./progress.mjs";

const patterns = [
  "packages/*/{test,demo}/**/*.test.ts",
  "apps/*/test/**/*.test.ts",
  "examples/**/*.test.ts",
  "bench/**/*.test.ts",
  "docs/**/*.test.{ts,mjs}",
  "scripts/**/*.test.mjs",
];

// A process of which nothing was heard for so long hangs, or has leaked a handle. Nothing is forced
// to exit before: a leak shall show. A machine that is busy, or was asleep, shall decide nothing:
// these are seconds of the timers of this process, and where there is more to do than there are
// processors, a second counts as the part of it that a process gets.
const silentSeconds = 60;

// Gives { passed, failed, skipped, leftOut }; the last has a line for each test that was left out,
// with the reason. `wanted` are parts of file names, all files if there are none.
export async function runUnitTests(wanted = []) {
  const files = findTestFiles(wanted);
  const totals = { passed: 0, failed: 0, skipped: 0 };
  const leftOut = [];
  if (files.length === 0) {
    console.log("no test files");
    return { ...totals, failed: 1, leftOut };
  }
  prepareFor(files);
  const all = files.length;
  const atWork = new Set();
  const stop = reportProgress(() => {
    const ended = all - files.length - atWork.size;
    const failures = totals.failed === 0 ? "" : `, ${totals.failed} failed`;
    const names = [...atWork].map((file) => file.replace(/^packages\/asyncio\/test\//, ""));
    return `${ended} of ${all} files, ${totals.passed} tests passed${failures}; at work: ${names.join(", ")}`;
  });
  const worker = async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      atWork.add(file);
      const counts = await runFile(file);
      atWork.delete(file);
      leftOut.push(...counts.leftOut);
      for (const key of Object.keys(totals)) totals[key] += counts[key];
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  stop();
  return { ...totals, leftOut: leftOut.sort() };
}

// Installs what the files need besides the root's packages. All but the library's own tests use
// what was built: an old build would answer for the sources of before.
export function prepareFor(files) {
  for (const folder of foldersNeededBy(files)) ensureInstalled(folder);
  if (files.some((file) => !file.startsWith("packages/asyncio/"))) buildLibrary();
}

// The test files in whose name one of the parts is, or all of them.
export function findTestFiles(wanted) {
  return globSync(patterns, { cwd: root, exclude: (name) => name === "node_modules" })
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .sort();
}

// The folders whose packages these files need besides the root's.
export function foldersNeededBy(files) {
  return withLockFile(files.flatMap(foldersAbove).map((folder) => join(root, folder)));
}

// The folders that a file is in, without the root: an example may have its tests deeper than its
// lock file.
function foldersAbove(file) {
  const folder = dirname(file);
  return folder === "." ? [] : [folder, ...foldersAbove(folder)];
}

// How much of a second a process gets to run, about: 1 where there is a processor for each that
// wants one.
function shareOfProcessor() {
  const [wanting] = loadavg(); // in the last minute; 0 on Windows
  return Math.min(1, availableParallelism() / Math.max(wanting, 1));
}

async function runFile(file) {
  const failures = [];
  const running = new Map();
  const leftOut = [];
  let printed = "";
  let counts;
  const controller = new AbortController();
  let silent = 0;
  const watchdog = setInterval(() => {
    silent += shareOfProcessor();
    if (silent >= silentSeconds) controller.abort();
  }, 1000);
  for await (const { type, data } of run({ cwd: root, files: [file], signal: controller.signal })) {
    silent = 0;
    // A suite fails because a test in it did, and that one is told.
    const isCause = data?.details?.error?.failureType !== "subtestsFailed";
    if (type === "test:fail" && data.todo === undefined && isCause) failures.push(data);
    const reason = data?.skip ?? data?.todo;
    if (type === "test:pass" && reason !== undefined)
      leftOut.push(`${file}: ${data.name}${typeof reason === "string" ? ` (${reason})` : ""}`);
    // Events of the file as a whole have no entryFile, and numbers of their own.
    const isTest = data?.entryFile !== undefined;
    if (type === "test:dequeue" && isTest) running.set(data.testId, data.name);
    if (type === "test:complete" && isTest) running.delete(data.testId);
    if (type === "test:stdout" || type === "test:stderr") printed += data.message;
    if (type === "test:diagnostic" && data.file !== undefined) printed += `${data.message}\n`;
    // The summary without a file is the total.
    if (type === "test:summary" && data.file === undefined) counts = data.counts;
  }
  clearInterval(watchdog);
  const failed = counts.failed + counts.cancelled;
  if (failed > 0) showFailures(file, failures, [...running.values()], printed);
  return { passed: counts.passed, failed, skipped: counts.skipped + counts.todo, leftOut };
}

function showFailures(file, failures, running, printed) {
  console.log(`\n${file}`);
  for (const { name, classname, line, details } of failures) {
    const isWholeFile = name === file;
    const title = isWholeFile
      ? "the file as a whole"
      : [classname, name].filter(Boolean).join(" > ");
    console.log(`  not ok - ${title}${isWholeFile ? "" : ` (line ${line})`}`);
    console.log(reasonOf(details.error, isWholeFile, running).replace(/^/gm, "    "));
  }
  if (printed !== "") console.log(`  printed:\n${printed.trimEnd().replace(/^/gm, "    ")}`);
}

function reasonOf(error, isWholeFile, running) {
  if (error.failureType === "testAborted") {
    const what = running.length > 0 ? `hanging: ${running.join(", ")}` : "a leak keeps it alive";
    return `nothing was heard of its process for ${silentSeconds} s; ${what}`;
  }
  // All that the runner knows is the exit code.
  if (isWholeFile) return "its process failed outside of the tests";
  const cause = error.cause ?? error;
  // The message of an assertion has the difference in it already.
  const text = cause?.code === "ERR_ASSERTION" ? cause.stack : inspect(cause, { depth: 4 });
  return text.replace(/^\s+at .*node:(?:internal|async_hooks).*\n?/gm, "").trimEnd();
}
