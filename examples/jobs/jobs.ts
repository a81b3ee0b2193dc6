// Runs jobs: so many at a time, each with a deadline, and again when it fails. What there is to
// learn from it:
//
// - `mapConcurrent` is the whole scheduler. It reads the next line when there is a place for it, so
//   a list of jobs may be endless. When its loop is left (by a deadline, Ctrl-C, the first
//   failure), all jobs have ended.
// - A job that fails is a result, and not an error: an error would end the others. What is an error
//   here is a mistake of this program, or a list that cannot be read.
// - Retries wait longer each time, with some chance in it, so that jobs which failed together do
//   not come back together. Some failures do not go away by trying again.
// - What a job starts is ended with it: `runProcess` gives each a session of its own, asks all of
//   it to end, and kills what is left `killSeconds` later. Its output goes to a file, or where ours
//   goes: kept in memory, it would be one job's way to end all of them.

import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import * as asyncio from "asyncio-ts";

export interface Job {
  /** From 1 on. */
  readonly number: number;
  readonly command: string;
}

export interface Result {
  readonly job: Job;
  readonly attempts: number;
  readonly seconds: number;
  /** How the last attempt failed; undefined if it did not. */
  readonly failure: Failure | undefined;
}

/** How an attempt failed. */
export interface Failure {
  readonly why: string;
  /** Whether another attempt may help. */
  readonly mayPass: boolean;
}

export interface JobsOptions {
  /** Jobs at the same time. */
  readonly limit: number;
  /** How many times a job is tried. */
  readonly attempts: number;
  /** Seconds before the second attempt; twice as many before each further one, and 60 at most. */
  readonly backoff: number;
  /** Makes one attempt, and gives how it failed. */
  readonly attempt: (job: Job, number: number) => Promise<Failure | undefined>;
  /** Draws from 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

const LONGEST_BACKOFF = 60;

/** Runs the commands, a line each, and gives their results as they come. */
export function runJobs(
  lines: AsyncIterable<string>,
  options: JobsOptions,
): AsyncIterableIterator<Result> {
  const { limit } = options;
  return asyncio.mapConcurrent(jobsOf(lines), (job) => runJob(job, options), {
    limit,
    ordered: false,
  });
}

/** Empty lines and comments are no jobs. */
async function* jobsOf(lines: AsyncIterable<string>): AsyncGenerator<Job> {
  let number = 0;
  for await (const line of lines) {
    const command = line.trim();
    if (command !== "" && !command.startsWith("#")) yield { number: ++number, command };
  }
}

async function runJob(job: Job, options: JobsOptions): Promise<Result> {
  const { attempts: most, attempt, backoff, random = Math.random } = options;
  const loop = asyncio.getRunningLoop();
  const startedAt = loop.time();
  for (let attempts = 1; ; attempts++) {
    const failure = await attempt(job, attempts);
    if (failure === undefined || !failure.mayPass || attempts === most)
      return { job, attempts, seconds: loop.time() - startedAt, failure };
    const delay = Math.min(backoff * 2 ** (attempts - 1), LONGEST_BACKOFF);
    await asyncio.sleep(delay * (0.5 + random() / 2));
  }
}

export interface ShellOptions {
  /** Seconds that an attempt may take. */
  readonly seconds: number;
  /** Seconds between asking a job to end and killing it. */
  readonly killSeconds: number;
  /** Where the output goes, a file for each job; undefined: where ours goes. */
  readonly logs?: string | undefined;
}

/** `attempt` by a shell. */
export function inShell({ seconds, killSeconds, logs }: ShellOptions): JobsOptions["attempt"] {
  return async ({ number, command }, attempt) => {
    await using log = logs === undefined ? undefined : await openLog(logs, number, attempt);
    const output = log === undefined ? "inherit" : log.fd;
    const env = { ...process.env, JOB: String(number), ATTEMPT: String(attempt) };
    try {
      await asyncio.runProcess("sh", ["-c", command], {
        env,
        seconds,
        killDelay: killSeconds,
        stdout: output,
        stderr: output,
      });
      return undefined;
    } catch (error) {
      if (error instanceof asyncio.TimeoutError)
        return { why: `not done in ${seconds} s`, mayPass: true };
      if (!(error instanceof asyncio.ProcessError)) throw error;
      const { signal, returncode } = error;
      if (signal !== undefined) return { why: `ended by ${signal}`, mayPass: true };
      // What a shell says of a command that is not there, or is no program.
      const mayPass = returncode !== 126 && returncode !== 127;
      return { why: `exit code ${returncode}`, mayPass };
    }
  };
}

/** The attempts of a job follow one another in one file. */
async function openLog(folder: string, number: number, attempt: number): Promise<FileHandle> {
  await mkdir(folder, { recursive: true });
  return await open(join(folder, `${number}.log`), attempt === 1 ? "w" : "a");
}
