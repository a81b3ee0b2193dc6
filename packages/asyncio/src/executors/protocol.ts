/**
 * What a pool and its workers tell each other: arrays that begin with a number. A worker is code of
 * others, so the pool looks at the shape of all that comes (`isFromWorker`).
 */

import type { CancelSource } from "../errors/errors.ts";
import type { ErrorTable } from "./error-table.ts";
import type { CallbackPlace } from "./sending.ts";

export const toWorker = {
  plainJobs: 0,
  cancel: 1,
  reply: 2,
  credit: 3,
  ping: 4,
  // To the main thread of a process only.
  revoke: 5,
  interrupt: 6,
  // To both.
  job: 7,
} as const;

/** What a job has beyond its arguments, where it has any of that. */
export interface JobExtras {
  readonly callbacks?: readonly CallbackPlace[];
  /** Seconds until its deadline. */
  readonly left?: number;
  /** Context variables by their names. */
  readonly variables?: readonly (readonly [name: string, value: unknown])[];
  /** Its items are sent; so many before the first is taken. */
  readonly credit?: number;
  readonly attempt?: number;
  /** It may be interrupted. */
  readonly isInterruptible?: boolean;
}

export type JobMessage = readonly [
  seq: number,
  fn: number,
  /** Of the job, among those of its pool. */
  job: number,
  args: readonly unknown[],
  extras: JobExtras | undefined,
];

/**
 * Jobs in one array, each as `seq, fn, job, extras or 0, number of arguments, ...arguments`: an
 * array for each job would make the message seven times as dear, and the host copies one that has
 * nothing but small integers the fastest. All arguments are primitive. An object that two jobs of a
 * message have in common would be one object for both of them over there, so jobs with objects go
 * by themselves.
 */
export type PlainJobs = readonly unknown[];
/** What a job takes in there, beside its arguments. */
export const PLAIN_HEAD = 5;

/** Functions that the worker has not heard of: a number, where, and which. */
export type Definition = readonly [fn: number, url: string, name: string];

export type ToWorker =
  | [kind: 0, definitions: readonly Definition[], jobs: PlainJobs]
  | [kind: 1, seq: number, source: CancelSource, reason: unknown, requestedBy: string | undefined]
  | [kind: 2, seq: number, call: number, outcome: CallOutcome]
  | [kind: 3, seq: number, count: number]
  | [kind: 4, epoch: number, seq: number]
  | [kind: 5, seq: number]
  | [kind: 6, seq: number]
  | [kind: 7, definitions: readonly Definition[], job: JobMessage];

/** How a callback has ended. */
export type CallOutcome =
  | readonly [state: "value", value: unknown]
  | readonly [state: "failed", error: ErrorTable]
  | readonly [state: "cancelled", reason: unknown];

export const fromWorker = {
  done: 0,
  failed: 1,
  cancelled: 2,
  revoked: 3,
  item: 4,
  progress: 5,
  call: 6,
  ready: 7,
  broken: 8,
  pong: 9,
  uncall: 10,
  wake: 11,
  memory: 12,
  interrupted: 13,
  gone: 14,
} as const;

export type FromWorker =
  | [kind: 0, seq: number, seconds: number, value: unknown]
  | [kind: 1, seq: number, seconds: number, error: ErrorTable]
  | [kind: 2, seq: number, seconds: number, source: CancelSource]
  | [kind: 3, seq: number]
  | [kind: 4, seq: number, value: unknown]
  | [kind: 5, seq: number, value: unknown]
  | [kind: 6, seq: number, call: number, callback: number, args: readonly unknown[]]
  | [kind: 7]
  | [kind: 8, error: ErrorTable]
  | [kind: 9, epoch: number, isDropped: boolean]
  | [kind: 10, seq: number, call: number]
  | [kind: 11]
  | [kind: 12, megabytes: number]
  | [kind: 13, seq: number, isKept: boolean]
  | [kind: 14, exitCode: number, cause: ErrorTable | undefined];

/** The types of what stands after the kind, as far as the pool relies on them. */
const shapes: readonly string[][] = [
  ["number", "number"],
  ["number", "number", "object"],
  ["number", "number", "string"],
  ["number"],
  ["number"],
  ["number"],
  ["number", "number", "number", "object"],
  [],
  ["object"],
  ["number", "boolean"],
  ["number", "number"],
  [],
  ["number"],
  ["number", "boolean"],
  ["number"],
];

/** Whether a worker of ours may have sent it. */
export function isFromWorker(message: unknown): message is FromWorker {
  if (!Array.isArray(message)) return false;
  const shape = shapes[message[0] as number];
  if (shape === undefined) return false;
  return shape.every((type, index) => {
    const value: unknown = message[index + 1];
    return typeof value === type && value !== null;
  });
}

/** What a worker is started with, beside its memory. */
export interface WorkerSetup {
  /** The name of the pool. */
  readonly pool: string;
  /** Modules that it loads before it is ready. */
  readonly warm: readonly string[];
  /** Called, and awaited, before it is ready. */
  readonly initializer: readonly [url: string, name: string] | undefined;
}
