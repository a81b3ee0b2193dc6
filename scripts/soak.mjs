// `npm run soak`: the long repetitions, by hand. They look for what happens once in thousands of
// runs, and have no place in `npm test`. Every run is a test file in a process of its own, with
// other numbers; each failure comes with the line that repeats it. Ctrl-C ends it early, and the
// figures so far are printed.
//
//   npm run soak                          everything, about an hour on four processors
//   npm run soak -- fuzz files            these parts
//   npm run soak -- files queue net/      of the test files those with such names
//   --programs 100000    fuzz, cpython, trio: random programs, in processes of 2000
//   --schedules 10000    schedules: for each mended bug, from each seed
//   --seeds 500          conformance: orders for each operation
//   --rounds 5           schedules, conformance: how often, from another seed each time
//   --executor-seconds 600  executors: how long random jobs are run, cancelled and lost
//   --times 20           files: how often each test file
//   --repetitions 10000  db: cancels and deadlines at the worst moment
//   --chaos 600          db: seconds in which servers, clients and connections are killed
//   --pagefetch-seconds 600  pagefetch: how long random clients use it, and leave, and it is killed
//   --seed 1             the first seed; by default one that no soak has had
//   --at-once 4 processes beside each other; more than there are processors makes the machine busy

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { root } from "./install.mjs";
import { outcomeOf } from "./outcome.mjs";
import { reportProgress } from "./progress.mjs";
import { printTable } from "./table.mjs";
import { findTestFiles, prepareFor } from "./unit-tests.mjs";

/** A process that takes longer hangs. */
const secondsEach = 1800;
const programsEach = 2000;

const numbers = {
  programs: 100_000,
  schedules: 10_000,
  seeds: 500,
  rounds: 5,
  times: 20,
  repetitions: 10_000,
  chaos: 600,
  "executor-seconds": 600,
  "pagefetch-seconds": 600,
  seed: Math.floor(Date.now() / 1000) % 1_000_000_000,
  "at-once": availableParallelism(),
};

const parts = {
  fuzz: () => ofPrograms("fuzz", "packages/asyncio/test/fuzz/fuzz.test.ts"),
  cpython: () => ofPrograms("cpython", "packages/asyncio/test/fuzz/cpython/cpython.test.ts"),
  trio: () => ofPrograms("trio", "packages/asyncio/test/fuzz/trio/trio.test.ts"),
  schedules: () =>
    findTestFiles(["testing/bugs-"]).flatMap((file) =>
      eachRound((seed) => ({
        part: "schedules",
        file,
        env: { EXPLORE_SCHEDULES: settings.schedules, EXPLORE_SEED: seed },
      })),
    ),
  conformance: () =>
    findTestFiles(["conformance.test"]).flatMap((file) =>
      eachRound((seed) => ({
        part: "conformance",
        file,
        env: { CONFORMANCE_SEEDS: settings.seeds, CONFORMANCE_SEED: seed },
      })),
    ),
  db: () =>
    ["chaos", "pool", "transactions", "pgbouncer", "fake-server"]
      .flatMap((name) => findTestFiles([`db/test/${name}.test`]))
      .map((file) => ({
        part: "db",
        file,
        env: {
          ASYNCIO_DB_ROUNDS: settings.repetitions,
          ASYNCIO_DB_SCHEDULES: settings.schedules,
          ASYNCIO_DB_CHAOS: settings.chaos,
        },
      })),
  executors: () => [
    {
      part: "executors",
      file: "packages/asyncio/test/executors/soak.test.ts",
      env: { EXECUTORS_SECONDS: settings["executor-seconds"], EXECUTORS_SEED: settings.seed },
    },
    {
      part: "executors",
      file: "packages/asyncio/test/executors/stopping.test.ts",
      env: { EXECUTORS_ROUNDS: 1000 },
    },
  ],
  pagefetch: () => [
    {
      part: "pagefetch",
      file: "apps/pagefetch/test/api/soak.test.ts",
      env: { PAGEFETCH_SECONDS: settings["pagefetch-seconds"], PAGEFETCH_SEED: settings.seed },
    },
  ],
  // In turns: what is broken everywhere shows early, and neighbours change.
  files: (wanted) =>
    Array.from({ length: settings.times }, () =>
      findTestFiles(wanted).map((file) => ({ part: "files", file, env: {} })),
    ).flat(),
};

/** What one process does, for the table; a file otherwise. */
const units = { fuzz: "programs", cpython: "programs" };

const { chosen, wanted, settings } = readArguments();
const jobs = chosen.flatMap((part) => parts[part](wanted));
const ended = [];
await soak();
printFigures();
process.exitCode = ended.some(({ failed }) => failed) || ended.length === 0 ? 1 : 0;

function readArguments() {
  const options = Object.fromEntries(
    Object.keys(numbers).map((name) => [name, { type: "string" }]),
  );
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const settings = { ...numbers };
    for (const [name, text] of Object.entries(values)) {
      const value = Number(text);
      if (!Number.isSafeInteger(value) || value < 1)
        throw new Error(`--${name} takes a whole number from 1 on, got ${text}`);
      settings[name] = value;
    }
    const named = positionals.filter((word) => word in parts);
    const wanted = positionals.filter((word) => !(word in parts));
    if (wanted.length > 0 && !named.includes("files"))
      throw new Error(
        `${wanted.join(", ")}: the parts are ${Object.keys(parts).join(", ")}; names of files stand behind "files"`,
      );
    return { chosen: named.length > 0 ? named : Object.keys(parts), wanted, settings };
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

function ofPrograms(part, file) {
  const name = part.toUpperCase();
  return Array.from({ length: Math.ceil(settings.programs / programsEach) }, (_, index) => {
    const done = index * programsEach;
    const count = Math.min(programsEach, settings.programs - done);
    const env = { [`${name}_PROGRAMS`]: count, [`${name}_SEED`]: settings.seed + done };
    return { part, file, env, units: count };
  });
}

function eachRound(make) {
  return Array.from({ length: settings.rounds }, (_, round) => make(settings.seed + round));
}

async function soak() {
  prepareFor([...new Set(jobs.map(({ file }) => file))]);
  const waiting = [...jobs];
  const running = new Set();
  let isStopped = false;
  const interrupt = () => {
    isStopped = true;
    console.log("  stopping: what is at work is ended");
    for (const child of running) killAll(child);
  };
  const signals = ["SIGINT", "SIGTERM"];
  for (const signal of signals) process.once(signal, interrupt);
  console.log(
    `${jobs.length} processes, ${settings["at-once"]} at once, seed ${settings.seed}: ${chosen.join(", ")}`,
  );
  const stop = reportProgress(() => {
    const failures = ended.filter(({ failed }) => failed).length;
    const now = waiting[0]?.part ?? jobs.at(-1)?.part;
    return `${ended.length} of ${jobs.length} processes have ended, ${failures} failed; at work: ${now}`;
  });
  const worker = async () => {
    for (let job = waiting.shift(); job !== undefined && !isStopped; job = waiting.shift()) {
      const run = await runJob(job, running);
      if (isStopped) return; // it was killed
      ended.push(run);
      if (run.failed) showFailure(run);
    }
  };
  await Promise.all(Array.from({ length: settings["at-once"] }, worker));
  stop();
  for (const signal of signals) process.off(signal, interrupt);
}

// The reporter that is meant for people prints its failures at the end, whole.
async function runJob(job, running) {
  const startedAt = performance.now();
  const env = { ...process.env, CI: "true", NO_COLOR: "1" };
  for (const [name, value] of Object.entries(job.env)) env[name] = String(value);
  const child = spawn(process.execPath, ["--test-reporter=spec", job.file], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // Ctrl-C is for this process, which sums up
  });
  running.add(child);
  const limit = setTimeout(killAll, secondsEach * 1000, child);
  const { code, signal, output } = await outcomeOf(child);
  running.delete(child);
  clearTimeout(limit);
  const seconds = (performance.now() - startedAt) / 1000;
  const count = (name) => Number(new RegExp(`^ℹ ${name} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
  const [passed, skipped] = [count("pass"), count("skipped")];
  return { ...job, seconds, output, signal, passed, skipped, failed: code !== 0 };
}

// The process, and what it has started in its group.
function killAll({ pid }) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function showFailure({ file, env, output, signal }) {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value} `);
  const [, failures = output] = /^✖ failing tests:\n([\s\S]*)$/m.exec(output) ?? [];
  const killed = signal === null ? "" : ` (ended by ${signal}, ${secondsEach} s is the limit)`;
  console.log(`\n${file} failed${killed}; again by\n  ${settings.join("")}node --test ${file}`);
  console.log(failures.trim().replace(/^/gm, "    "));
}

function printFigures() {
  console.log(`\n${ended.length} of ${jobs.length} processes have ended; seed ${settings.seed}`);
  const rows = chosen.map((part) => {
    const own = ended.filter((run) => run.part === part);
    const unit = units[part] ?? "tests";
    const done = sum(own, part in units ? "units" : "passed");
    const failed = own.filter((run) => run.failed).length;
    return [part, own.length, failed, `${done} ${unit}`, `${sum(own, "seconds").toFixed(0)} s`];
  });
  printTable(["part", "processes", "failed", "done", "time"], rows);

  const files = Map.groupBy(ended, ({ file }) => file);
  const failing = [...files]
    .map(([file, runs]) => [file, runs.filter((run) => run.failed).length, runs.length])
    .filter(([, failed]) => failed > 0)
    .sort(([, one], [, other]) => other - one);
  if (failing.length > 0) {
    console.log("\nFailed:");
    for (const [file, failed, all] of failing) console.log(`  ${file}: ${failed} of ${all} times`);
  }
  const slowest = [
    ...Map.groupBy(
      ended.filter(({ part }) => part === "files"),
      ({ file }) => file,
    ),
  ]
    .map(([file, runs]) => [file, runs.map(({ seconds }) => seconds).sort((a, b) => a - b)])
    .sort(([, one], [, other]) => other.at(-1) - one.at(-1))
    .slice(0, 5);
  if (slowest.length > 0) {
    console.log("\nSlowest, median and maximum:");
    for (const [file, times] of slowest) {
      const [median, most] = [times[times.length >> 1], times.at(-1)];
      console.log(`  ${file}: ${median.toFixed(1)} s, ${most.toFixed(1)} s`);
    }
  }
  const told = ended.flatMap(({ output }) => output.match(/^figures: .*$/gm) ?? []);
  if (told.length > 0) console.log(`\n${told.join("\n")}`);
  const leftOut = [...new Set(ended.filter(({ skipped }) => skipped > 0).map(({ file }) => file))];
  if (leftOut.length > 0) console.log(`\nLeft out tests: ${leftOut.sort().join(", ")}`);
}

function sum(runs, field) {
  return runs.reduce((total, run) => total + run[field], 0);
}
