/**
 * What a job can ask about itself, wherever it runs. A thread has one job at a time, and puts it
 * here; an InlineExecutor has several, and runs each in a context of its own.
 */

import { advice, argumentError, CancelledError, InvalidStateError } from "../errors/errors.ts";
import { currentScope } from "../kernel/context.ts";
import { contextStorage } from "../ports/context-storage.ts";
import type { Movable } from "./sendable.ts";
import { rememberTransfer } from "./sending.ts";

/** The job that the running code belongs to. */
export interface JobInfo {
  /** Of its own among the jobs of its executor; the same in each attempt. */
  readonly id: string;
  /** Counts from 1: an idempotent job is tried again if its worker is lost. */
  readonly attempt: number;
}

/** A job, as it is seen by what runs in it. */
export interface RunningJob extends JobInfo {
  progress(value: unknown): void;
}

/** The word that tells that the job of this thread was asked to end, and what it is then. */
interface Flag {
  readonly words: Int32Array;
  readonly slot: number;
  readonly asked: number;
  /** Takes in the message that says why. */
  readonly hear: () => void;
}

let onlyJob: RunningJob | undefined;
let flag: Flag | undefined;
const jobs = new (contextStorage())<RunningJob>();

/** The thread begins to work on it, or has ended it. */
export function setOnlyJob(job: RunningJob | undefined, itsFlag: Flag | undefined): void {
  onlyJob = job;
  flag = itsFlag;
}

/** Runs `fn` as part of `job`. */
export function inJob<R>(job: RunningJob, fn: () => R): R {
  return jobs.run(job, fn);
}

function jobHere(api: string): RunningJob {
  const job = onlyJob ?? jobs.getStore();
  if (job !== undefined) return job;
  throw new InvalidStateError(
    `${api} was called outside a job${advice("Call it in what an executor runs")}`,
  );
}

/**
 * Throws the CancelledError of the job if it was cancelled: for loops that do not await. Costs one
 * look at shared memory, so it can stand in an inner loop. Does nothing inside `cleanup`, and
 * outside jobs, where it looks at the scope of the running code. Source: Trio's
 * from_thread.check_cancelled.
 *
 * @example
 * import { checkCancelled } from "asyncio-ts/worker";
 * for (let n = 0; n < 1000; n++) checkCancelled(); // nobody has cancelled anything
 */
export function checkCancelled(): void {
  if (flag !== undefined) {
    if (Atomics.load(flag.words, flag.slot) !== flag.asked) return;
    flag.hear();
  }
  const cancellation = currentScope()?.takeDue();
  if (cancellation !== undefined) throw new CancelledError(cancellation);
}

/**
 * Tells whoever submitted the job how far it has come: `value` is copied, and comes out of
 * `job.progress`. Does not wait.
 * @throws InvalidStateError outside jobs; NotSendableError for a `value` that cannot be copied.
 *
 * @example
 * import { progress } from "asyncio-ts/worker";
 * assert.throws(() => progress("half of it"), asyncio.InvalidStateError); // this is no job
 */
export function progress(value: unknown): void {
  jobHere("`progress`").progress(value);
}

/**
 * The job that the running code belongs to. @throws InvalidStateError outside jobs.
 *
 * @example
 * import { currentJob } from "asyncio-ts/worker";
 * assert.throws(currentJob, asyncio.InvalidStateError); // this is no job
 */
export function currentJob(): JobInfo {
  const { id, attempt } = jobHere("`currentJob`");
  return { id, attempt };
}

/**
 * Gives `value`, and remembers that what is in `list` is moved with it when it is sent, and not
 * copied: `return transfer(pixels, [pixels.buffer])`. Processes copy all the same.
 *
 * @example
 * import { transfer } from "asyncio-ts/worker";
 * const pixels = new Uint8Array(1000);
 * assert.equal(transfer(pixels, [pixels.buffer]), pixels);
 */
export function transfer<T extends object>(value: T, list: readonly Movable[]): T {
  if (typeof value !== "object" || value === null)
    throw argumentError("`transfer`", "an object to send", value);
  if (!Array.isArray(list)) throw argumentError("`transfer`", "an array of what to move", list);
  rememberTransfer(value, list);
  return value;
}
