// Pools for tests, and what is left of them.

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import {
  type Executor,
  type ExecutorOptions,
  module,
  ProcessPoolExecutor,
  ThreadPoolExecutor,
} from "../../src/executors.ts";
import { getRunningLoop, run } from "../../src/index.ts";
import { dependents } from "../../src/interop/dependents.ts";
import { collectReports } from "../virtual.ts";

export const jobs = module<typeof import("./jobs.ts")>(new URL("./jobs.ts", import.meta.url));

/** A test body with a pool of threads, in a run of its own, after which no thread is left. */
export function threads(
  body: (pool: ThreadPoolExecutor) => Promise<void>,
  options: ExecutorOptions = { maxWorkers: 1 },
): () => Promise<void> {
  return inRun(() => new ThreadPoolExecutor(options), body);
}

/** The same with processes. */
export function processes(
  body: (pool: ProcessPoolExecutor) => Promise<void>,
  options: ExecutorOptions = { maxWorkers: 1 },
): () => Promise<void> {
  return inRun(() => new ProcessPoolExecutor(options), body);
}

function inRun<P extends Executor>(
  make: () => P,
  body: (pool: P) => Promise<void>,
): () => Promise<void> {
  return async () => {
    await run(async () => {
      const reports = collectReports(getRunningLoop());
      await using pool = make();
      await body(pool);
      assert.deepEqual(reports, []);
    });
    assert.deepEqual(await openWorkers(), []);
    assert.equal(dependents.size, 0);
  };
}

async function openWorkers(): Promise<string[]> {
  let open: string[] = [];
  for (let turns = 0; turns < 200; turns++) {
    open = process
      .getActiveResourcesInfo()
      .filter((kind) => ["MessagePort", "Worker", "ProcessWrap"].includes(kind));
    if (open.length === 0) break;
    await turn(); // the host closes what was closed in its own time
  }
  return open;
}

/** Memory that a job tells in how far it has come. */
export function board(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(16));
}

/** Resolves when the job has begun. */
export async function begun(at: Int32Array): Promise<void> {
  while (Atomics.load(at, 0) === 0) await turn();
}

/** True if the job has stopped counting. */
export async function isQuiet(at: Int32Array): Promise<boolean> {
  const before = Atomics.load(at, 0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  return Atomics.load(at, 0) === before;
}

/** Whoever asks a stream of three numbers gets one of them, or its end. */
export async function asksAtATime(stream: AsyncIterableIterator<number>): Promise<void> {
  const asked = Array.from({ length: 4 }, () => stream.next());
  const given = await Promise.all(asked);
  assert.deepEqual(given.map(({ value }) => value).sort(), [0, 1, 2, undefined]);
}

/** Who is left waiting by a `return` is told of the end. */
export async function leavesMeanwhile(stream: AsyncIterableIterator<number>): Promise<void> {
  const asked = stream.next();
  await stream.return?.();
  const { done, value } = await asked;
  assert.ok(done === true || value === 0);
}
