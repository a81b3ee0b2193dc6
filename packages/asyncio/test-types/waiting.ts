// wait, waitFor, asCompleted, shield, race, staggeredRace, locks and ordered queues. Compiled,
// never run.

import {
  asCompleted,
  Condition,
  createTask,
  type Future,
  Lock,
  PriorityQueue,
  race,
  shield,
  staggeredRace,
  type Task,
  wait,
  waitFor,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

declare const task: Task<number>;
declare const promise: Promise<number>;

export async function waiting(): Promise<void> {
  const awaited = await waitFor(task, 1);
  expectType<Equal<typeof awaited, number>>();
  const called = await waitFor(async () => "text", null);
  expectType<Equal<typeof called, string>>();
  // @ts-expect-error a bare promise could not be cancelled
  await waitFor(promise, 1);

  const { done, pending } = await wait([task]);
  expectType<Equal<typeof done, Set<Task<number>>>>();
  expectType<Equal<typeof pending, Set<Task<number>>>>();
  // @ts-expect-error a function is no task
  await wait([async () => 1]);
  // @ts-expect-error no such choice
  await wait([task], { returnWhen: "LAST_COMPLETED" });

  for await (const ended of asCompleted([task])) {
    expectType<Equal<typeof ended, Future<number>>>();
    (await ended) satisfies number;
  }

  for await (const ended of asCompleted([async () => 1, async () => "text"])) {
    const value = await ended;
    expectType<Equal<typeof value, number | string>>();
  }

  (await shield(promise)) satisfies number;
}

export async function racing(): Promise<void> {
  const winner = await race(
    async () => 1,
    async () => "text",
  );
  expectType<Equal<typeof winner, number | string>>();
  // @ts-expect-error a bare promise has started, and could not be cancelled
  await race(promise);

  const [value, index, errors] = await staggeredRace([async () => 1], 0.25);
  expectType<Equal<typeof value, number>>();
  expectType<Equal<typeof index, number>>();
  expectType<Equal<typeof errors, unknown[]>>();
  const [either] = await staggeredRace([async () => 1, async () => "text"], null);
  expectType<Equal<typeof either, number | string>>();
}

export async function locking(): Promise<void> {
  const jobs: string[] = [];
  const job = await new Condition().waitFor(() => jobs.shift());
  expectType<Equal<typeof job, string>>();
  const isThere = await new Condition().waitFor(() => jobs.length > 0);
  expectType<Equal<typeof isThere, true>>();
  using guard = await new Lock().acquire();
  guard satisfies Disposable;
  (await new Lock({ name: "db" }).run(async () => 1)) satisfies number;
  new PriorityQueue<{ at: number }>(0, { compare: (a, b) => a.at - b.at });
  // @ts-expect-error the items have no such field
  new PriorityQueue<{ at: number }>(0, { compare: (a, b) => a.when - b.when });
  // @ts-expect-error a bare promise could not be cancelled
  createTask(promise);
}
