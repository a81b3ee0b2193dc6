// Runs the portable test programs (packages/*/test/portable/*.mjs) on every host the library
// promises to run on. Each program imports the built package, prints `ok - name` or
// `not ok - name: why` per test and ends with `# N passed, N failed`.
//
// The hosts are binaries from the npm registry, pinned in runtimes/ and installed on first use;
// only Node 24 is the one that runs this script. A part of a host's name as an argument picks it:
// `npm run test:runtimes -- deno`.

import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { buildLibrary } from "./build.mjs";
import { ensureInstalled, root, SetupError } from "./install.mjs";
import { outcomeOf } from "./outcome.mjs";
import { reportProgress } from "./progress.mjs";
import { printTable } from "./table.mjs";

const home = join(root, "runtimes");
const programSeconds = 60;

const target = `${process.platform}-${process.arch}`;
const node = (major) => join(home, `node_modules/node${major}-${target}/bin/node`);
const ownHosts = [
  { name: "Node 20.19", binary: node(20) },
  { name: "Node 22", binary: node(22) },
  { name: "Node 24", binary: process.execPath },
  { name: "Node 26", binary: node(26) },
  {
    name: "Bun",
    binary: join(home, `node_modules/@oven/bun-${target.replace("arm64", "aarch64")}/bin/bun`),
    args: ["--no-install", "run"],
  },
  {
    name: "Deno",
    binary: join(home, `node_modules/@deno/${target}-glibc/deno`),
    args: [
      "run",
      "--allow-all",
      "--no-prompt",
      "--node-modules-dir=manual",
      "--no-lock",
      "--no-remote",
      "--quiet",
    ],
    // The library asks for a variable or two, and has to do without; a child process needs an
    // environment.
    argsFor: (program) =>
      ["executors.mjs", "outside.mjs", "postgres.mjs", "sqlite.mjs"].includes(basename(program))
        ? []
        : ["--deny-env"],
  },
];
// The production build, on one of each kind: scripts/production.test.mjs has the newest Node.
const flag = "--conditions=production";
const ofProduction = ownHosts
  .filter(({ name }) => ["Node 20.19", "Bun", "Deno"].includes(name))
  .map(({ name, args = [], ...host }) => ({
    ...host,
    name: `${name}, production`,
    args: name === "Deno" ? [...args, flag] : [flag, ...args],
  }));
const hosts = [...ownHosts, ...ofProduction];

// Where the program of a host is, by its name; nothing need be there yet.
export function binaryOf(name) {
  return hosts.find((host) => host.name === name).binary;
}

export function installRuntimes() {
  ensureInstalled(home);
}

// Gives { passed, failed }, after a table of all hosts and the output of what failed.
export async function testRuntimes(wanted = []) {
  const programs = globSync("packages/*/test/portable/*.mjs", { cwd: root }).sort();
  if (programs.length === 0) {
    console.log("no programs in packages/*/test/portable");
    return { passed: 0, failed: 1 };
  }
  installRuntimes();
  ensureInstalled(join(root, "packages/db")); // what is built there needs it
  buildLibrary();

  const parts = wanted.map((part) => part.toLowerCase());
  const chosen = hosts.filter(
    ({ name }) => parts.length === 0 || parts.some((part) => name.toLowerCase().includes(part)),
  );
  const absent = chosen.filter(({ binary }) => !existsSync(binary));
  const jobs = chosen
    .filter((host) => !absent.includes(host))
    .flatMap((host) => programs.map((program) => ({ host, program })));
  const atWork = new Set();
  let ended = 0;
  const stop = reportProgress(
    () => `${ended} of ${jobs.length} programs have run; at work: ${[...atWork].join(", ")}`,
  );
  const runs = await inParallel(jobs, async ({ host, program }) => {
    const label = `${basename(program)} on ${host.name}`;
    atWork.add(label);
    const run = await runProgram(host, program);
    atWork.delete(label);
    ended++;
    return run;
  });
  stop();

  for (const run of runs.filter(({ failed }) => failed > 0)) {
    console.log(`\n${run.host.name}, ${basename(run.program)}: ${run.why}\n${run.report}`);
  }
  const rows = chosen.map((host) => {
    if (absent.includes(host)) return [host.name, "-", "-", `no package for ${target}`];
    const own = runs.filter((run) => run.host === host);
    return [host.name, sum(own, "passed"), sum(own, "failed"), sum(own, "seconds").toFixed(1)];
  });
  printTable(["runtime", "passed", "failed", "seconds"], rows);
  const leftOut = absent.map(({ name }) => `runtimes: ${name} (no package for ${target})`);
  const skipped = leftOut.length;
  return { passed: sum(runs, "passed"), failed: sum(runs, "failed"), skipped, leftOut };
}

async function runProgram(host, program) {
  const startedAt = performance.now();
  const { code, signal, output } = await start(host, program);
  const seconds = (performance.now() - startedAt) / 1000;

  const summary = /^# (\d+) passed, (\d+) failed\s*$/m.exec(output);
  const passed = Number(summary?.[1] ?? 0);
  const failed = Number(summary?.[2] ?? 0);
  const result = { host, program, seconds, passed, failed, why: `${failed} failed`, report: "" };
  if (failed > 0) result.report = failuresIn(output);
  if (summary && signal === null && (code === 0) === (failed === 0)) return result;

  // It crashed, hung, or says one thing and exits with another: that is a failure by itself.
  result.why = signal
    ? `killed after ${programSeconds} s, still alive`
    : `exit code ${code}${summary ? "" : ", no summary line"}`;
  return { ...result, failed: failed + 1, report: output };
}

function start({ binary, args = [], argsFor }, program) {
  const child = spawn(binary, [...args, ...(argsFor?.(program) ?? []), program], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: programSeconds * 1000,
    killSignal: "SIGKILL",
    env: {
      ...process.env,
      CI: "true",
      NO_COLOR: "1",
      DENO_DIR: join(home, "node_modules/.deno"),
      DENO_NO_UPDATE_CHECK: "1",
      DO_NOT_TRACK: "1",
    },
  });
  return outcomeOf(child);
}

// A failure's message may go on over several lines, up to the next result.
function failuresIn(output) {
  return output
    .split(/^(?=ok - |not ok - |# \d+ passed)/m)
    .filter((part) => part.startsWith("not ok"))
    .join("");
}

async function inParallel(jobs, run) {
  const results = new Array(jobs.length);
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await run(jobs[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism() >> 1) }, worker));
  return results;
}

function sum(rows, field) {
  return rows.reduce((total, row) => total + row[field], 0);
}

if (import.meta.main) {
  try {
    const { passed, failed } = await testRuntimes(process.argv.slice(2));
    console.log(`${passed} passed, ${failed} failed`);
    process.exitCode = failed > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
