// Runs the commands that it reads, a line each, several at a time:
//
//     seq 8 | sed "s/^/sleep /" | node examples/jobs/main.ts --jobs 4
//
// Ctrl-C asks the jobs that run to end, kills those that do not, says what was done, and ends by
// the signal. How it works is in jobs.ts.

import { createReadStream } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { number, runProgram, UsageError } from "../command-line.ts";
import { inShell, type Result, runJobs } from "./jobs.ts";

const usage = `Usage: node examples/jobs/main.ts [options] [FILE]

Runs the commands in FILE, or those that it reads, a line each. They find their
number in $JOB, and in $ATTEMPT how many times they were tried.

  --jobs N            jobs at the same time (default: one for each processor)
  --attempts N        how many times a job is tried (default: 1)
  --backoff SECONDS   before the second attempt; then twice as long (default: 1)
  --seconds SECONDS   what an attempt may take (default: no limit)
  --kill SECONDS      between asking a job to end and killing it (default: 3)
  --deadline SECONDS  what all of it may take (default: no limit)
  --fail-fast         ends everything when a job has failed for good
  --logs FOLDER       puts the output of each job into a file of its own
  --help              print this text`;

function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      jobs: { type: "string", default: String(availableParallelism()) },
      attempts: { type: "string", default: "1" },
      backoff: { type: "string", default: "1" },
      seconds: { type: "string", default: "Infinity" },
      kill: { type: "string", default: "3" },
      deadline: { type: "string", default: "Infinity" },
      "fail-fast": { type: "boolean", default: false },
      logs: { type: "string" },
    },
  });
  if (positionals.length > 1) throw new UsageError("there has to be one FILE at most");
  return {
    file: positionals[0],
    deadline: number("--deadline", values.deadline),
    failFast: values["fail-fast"],
    limit: number("--jobs", values.jobs, 1),
    attempts: number("--attempts", values.attempts, 1),
    backoff: number("--backoff", values.backoff),
    attempt: inShell({
      seconds: number("--seconds", values.seconds),
      killSeconds: number("--kill", values.kill),
      logs: values.logs,
    }),
  };
}

/** Standard output belongs to the jobs. */
function report({ job, attempts, seconds, failure }: Result): void {
  const tries = attempts === 1 ? "" : `, attempt ${attempts}`;
  const how = failure === undefined ? "done" : `failed, ${failure.why}`;
  console.error(`[${job.number}] ${job.command}: ${how} (${seconds.toFixed(1)} s${tries})`);
}

await runProgram(usage, readOptions, async ({ file, deadline, failFast, ...options }) => {
  const count = { done: 0, failed: 0 };
  let ending = "cut off";
  try {
    await using source = asyncio.readerFrom(
      file === undefined ? process.stdin : createReadStream(file),
    );
    const all = await asyncio.moveOnAfter(deadline, async () => {
      for await (const result of runJobs(source.lines(), options)) {
        report(result);
        count[result.failure === undefined ? "done" : "failed"]++;
        if (failFast && count.failed > 0) return "stopped at a failure";
      }
      return "all";
    });
    ending = all.cancelled ? `cut off after ${deadline} s` : all.value;
  } catch (error) {
    if (!(error instanceof asyncio.LimitOverrunError)) throw error;
    ending = "cut off by a line that is too long";
  } finally {
    console.error(`jobs: ${count.done} done, ${count.failed} failed, ${ending}`);
    if (ending !== "all" || count.failed > 0) process.exitCode = 1;
  }
});
