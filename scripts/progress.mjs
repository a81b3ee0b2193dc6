// Says that something is still at work, and how far it has come: a line every ten seconds, so that
// a log stays readable and a terminal is not silent for minutes. What takes less than that says
// nothing.
//
// As a program, for callers that block until a command has ended: `node progress.mjs LABEL COMMAND
// ARGUMENT...` runs it, and writes the lines to file descriptor 3. Runs on whatever Node the
// machine has.

import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { outcomeOf } from "./outcome.mjs";

const intervalSeconds = 10;

// Prints what `describe()` gives, from time to time, until the function that this returns is
// called.
export function reportProgress(describe, print = console.log) {
  const startedAt = performance.now();
  const timer = setInterval(() => {
    print(`  ${((performance.now() - startedAt) / 1000).toFixed(0)} s: ${describe()}`);
  }, intervalSeconds * 1000);
  return () => clearInterval(timer);
}

// Starts a program, says from time to time that it is at work, and gives { code, signal, output }
// when it has ended.
export async function runWithProgress(label, command, args, { seconds, ...options } = {}) {
  const stop = reportProgress(() => `${label} is at work`);
  const limit = seconds === undefined ? {} : { timeout: seconds * 1000, killSignal: "SIGKILL" };
  const child = spawn(command, args, { ...options, ...limit });
  try {
    return await outcomeOf(child);
  } finally {
    stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [label, command, ...args] = process.argv.slice(2);
  const stop = reportProgress(
    () => `${label} is at work`,
    (line) => writeSync(3, `\n${line}`),
  );
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  child.on("error", (error) => {
    stop();
    console.error(error.message);
    process.exitCode = 1;
  });
  child.on("close", (code) => {
    stop();
    process.exitCode = code ?? 1;
  });
}
