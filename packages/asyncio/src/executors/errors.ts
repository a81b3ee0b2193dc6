/** How jobs in workers go wrong, apart from what they throw themselves. */

import { register } from "../errors/errors.ts";

/** What a worker's end looks like to the pool. */
export interface WorkerEnd {
  /** Undefined if a signal has ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** What ended it, if it was an error. */
  readonly cause: unknown;
}

/**
 * Something cannot be copied to a worker, or back: a function, a socket, an object with a getter
 * that throws.
 */
export class NotSendableError extends Error {
  readonly code = "ERR_ASYNCIO_NOT_SENDABLE";
  /** Where it was found: `args[0].onDone`, `result.items[3]`. */
  readonly path: string;

  /** @internal */
  constructor(path: string, why: string, options?: ErrorOptions) {
    super(`${path} cannot be sent to or from a worker: ${why}`, options);
    this.path = path;
  }
}
register(NotSendableError, "NotSendableError");

/** The worker that ran the job has gone: it has exited, crashed or was killed. */
export class WorkerLostError extends Error {
  readonly code = "ERR_ASYNCIO_WORKER_LOST";
  /** The exit code of the worker; undefined if a signal has ended it. */
  readonly exitCode: number | undefined;
  /** The signal that has ended the worker, if it was a process. */
  readonly signal: string | undefined;
  /** False if the job has certainly not begun. */
  readonly mayHaveRun: boolean;

  /** @internal */
  constructor(what: string, end: WorkerEnd, mayHaveRun: boolean) {
    const { exitCode, signal, cause } = end;
    const how = signal !== undefined ? `was ended by ${signal}` : `has exited with ${exitCode}`;
    const why = outOfMemory(cause) ? ", out of memory" : "";
    super(`the worker of ${what} ${how}${why}`, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.signal = signal;
    this.mayHaveRun = mayHaveRun;
  }
}
register(WorkerLostError, "WorkerLostError");

function outOfMemory(cause: unknown): boolean {
  return (cause as { code?: unknown } | undefined)?.code === "ERR_WORKER_OUT_OF_MEMORY";
}

/**
 * No worker of the executor can be used: its initializer fails, or one worker after the other
 * crashes. The `cause` is what happened last. Source: concurrent.futures.BrokenExecutor.
 */
export class BrokenExecutorError extends Error {
  readonly code = "ERR_ASYNCIO_BROKEN_EXECUTOR";
}
register(BrokenExecutorError, "BrokenExecutorError");

/** The module of a job does not load, or has no such function. */
export class WorkerModuleError extends Error {
  readonly code = "ERR_ASYNCIO_WORKER_MODULE";
  /** The module that was asked for. */
  readonly url: string;

  /** @internal */
  constructor(url: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.url = url;
  }
}
register(WorkerModuleError, "WorkerModuleError");
