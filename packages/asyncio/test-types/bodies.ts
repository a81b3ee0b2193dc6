// Whatever takes an async function takes one that is not, too: what it returns is awaited.
// Compiled, never run.

import {
  asCompleted,
  CancelScope,
  Condition,
  cleanup,
  createTask,
  type Future,
  gather,
  Lock,
  mapConcurrent,
  moveOnAfter,
  openConnection,
  Runner,
  race,
  requestScope,
  run,
  Semaphore,
  shield,
  staggeredRace,
  startServer,
  type Task,
  taskGroup,
  timeout,
  timeoutAt,
  waitFor,
} from "../src/index.ts";
import { cancelSweep, explore, explored, faultSweep, runTest, Sequencer } from "../src/testing.ts";
import { type Equal, expectType } from "./equal.ts";

declare const maybe: () => number | Promise<number>;

export async function values(): Promise<void> {
  expectType<Equal<ReturnType<typeof createFive>, Task<number>>>();
  (await timeout(1, () => 5)) satisfies number;
  (await timeoutAt(1, () => 5)) satisfies number;
  (await cleanup(1, () => 5)) satisfies number | undefined;
  (await new CancelScope().run(() => 5)) satisfies number | undefined;
  (await waitFor(() => 5, 1)) satisfies number;
  (await shield(() => 5)) satisfies number;
  (await run(() => 5)) satisfies number;
  (await new Runner().run(() => 5)) satisfies number;
  (await new Lock().run(() => 5)) satisfies number;
  (await new Semaphore().run(() => 5)) satisfies number;
  (await new Condition().run(() => 5)) satisfies number;
  (await requestScope(new AbortController().signal, () => 5)) satisfies number;
  (await new Sequencer().run(0, () => 5)) satisfies number;
  (await runTest(() => 5)) satisfies number;
  (await mapConcurrent([1], (item) => item + 1, { limit: 1 }).toArray()) satisfies number[];

  const moved = await moveOnAfter(1, () => 5);
  if (!moved.cancelled) moved.value satisfies number;
  const [first, second] = await gather(
    () => 5,
    async () => "text",
  );
  expectType<Equal<[typeof first, typeof second], [number, string]>>();
  const winner = await race(
    () => 5,
    async () => "text",
  );
  expectType<Equal<typeof winner, number | string>>();
  const [value] = await staggeredRace([() => 5], 1);
  expectType<Equal<typeof value, number>>();
  for await (const ended of asCompleted([() => 5]))
    expectType<Equal<typeof ended, Future<number>>>();
}

const createFive = () => createTask(() => 5);

export async function groups(): Promise<void> {
  expectType<Equal<ReturnType<typeof groupOfNothing>, Promise<void>>>();
  (await taskGroup(() => 5)) satisfies number;
  (await taskGroup<number>((group) => {
    group.createTask(() => 5) satisfies Task<number>;
    group.cancel(7);
    return 5;
  })) satisfies number;
  await taskGroup(async (group) => {
    (await group.start<number>((started) => started(5))) satisfies number;
  });
}

const groupOfNothing = () => taskGroup(() => {});

export async function handlers(): Promise<void> {
  await startServer((_reader, writer) => writer.close());
  await openConnection("localhost", 80, { resolver: () => ["127.0.0.1"] });
  await explore(() => {});
  await cancelSweep(() => {});
  await faultSweep((_t, log) => log.push("run"), { setup: () => [] as string[] });
  await explored((_t, item: string) => item.length)("item");
}

export async function either(): Promise<void> {
  const task = createTask(() => maybe());
  expectType<Equal<typeof task, Task<number>>>();
}

// @ts-expect-error a promise is no function: it runs already
createTask(Promise.resolve(5));
// @ts-expect-error a promise is no function: it runs already
new Lock().run(Promise.resolve(5));
// @ts-expect-error options are an object
createTask(() => 5, "name");
// @ts-expect-error options are an object
new Lock("name");
// @ts-expect-error there is no such option
taskGroup(() => {}, { limitt: 2 });
// @ts-expect-error options go with an array
gather(createFive(), createFive(), { returnExceptions: true });
