// Compiled, never run: each statement is a claim about types.

import {
  acquiring,
  Event,
  Lock,
  next,
  putting,
  Queue,
  type Rendezvous,
  type Selected,
  Semaphore,
  select,
  sleep,
  type Task,
} from "../src/index.ts";
import type { Operation, Selectable } from "../src/lowlevel.ts";
import { CapacityLimiter } from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

interface Job {
  readonly url: string;
}
const jobs = new Queue<Job>();
const numbers = new Queue<number>();
const semaphore = new Semaphore();
declare const task: Task<string>;
declare const isFull: boolean;

const won = await select({
  job: jobs,
  stopped: new Event(),
  lock: new Lock(),
  done: task,
  late: 5,
});
expectType<
  Equal<
    typeof won,
    ["job", Job] | ["stopped", true] | ["lock", Disposable] | ["done", string] | ["late", undefined]
  >
>();
const [which, value] = won;
if (which === "job") expectType<Equal<typeof value, Job>>();
if (which === "done") expectType<Equal<typeof value, string>>();

const listed = await select([jobs, numbers, 1]);
expectType<Equal<typeof listed, [0, Job] | [1, number] | [2, undefined]>>();
const many: Queue<number>[] = [];
const one = await select(many);
expectType<Equal<typeof one, [index: number, value: number]>>();
const maybe = await select({ job: isFull ? undefined : jobs, sent: putting(numbers, 3) });
expectType<Equal<typeof maybe, ["job", Job] | ["sent", undefined]>>();
const worded = await select({ n: next(numbers), permits: acquiring(semaphore, 2) });
expectType<
  Equal<typeof worded, ["n", IteratorResult<number, undefined>] | ["permits", Disposable]>
>();

// @ts-expect-error: the loans of a limiter have borrowers
acquiring(new CapacityLimiter(1), 1);

expectType<Equal<Selected<{ a: Queue<1>; b: undefined }>, ["a", 1]>>();
expectType<Equal<Selected<readonly [Rendezvous<1>, Queue<2>]>, [0, 1] | [1, 2]>>();
declare const own: Selectable<"tone">;
expectType<Equal<Selected<{ own: typeof own }>, ["own", "tone"]>>();
expectType<Equal<Parameters<Operation<1>["enlist"]>[0]["resume"], (value: 1) => boolean>>();

// @ts-expect-error a promise is running already, and cannot be withdrawn
await select({ job: jobs.get(), late: sleep(1) });
// @ts-expect-error an item of the wrong type
putting(numbers, "x");
// @ts-expect-error a number of permits
acquiring(semaphore, "2");

const dropping = new Queue<number>(1, { overflow: "dropOldest", onDrop: (item) => item.toFixed() });
expectType<Equal<ReturnType<typeof dropping.peek>, { readonly value: number } | undefined>>;
// @ts-expect-error there is no such policy
new Queue<number>(1, { overflow: "drop" });
expectType<Equal<ReturnType<Lock["tryAcquire"]>, Disposable | undefined>>();
