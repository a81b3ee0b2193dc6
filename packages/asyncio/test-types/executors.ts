// Compiled, never run: what a module exports decides what can be called, with what, and what comes
// back.

import {
  callback,
  type Executor,
  type ExecutorJob,
  module,
  type Sendable,
  toThread,
} from "../src/executors.ts";
import { getRunningLoop } from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

interface Work {
  add(a: number, b: number): number;
  later(name: string): Promise<Uint8Array>;
  numbers(count: number): Generator<number>;
  texts(): AsyncGenerator<string>;
  ask(question: (n: number) => Promise<boolean>): Promise<string>;
  readonly version: string;
}

const work = module<Work>(new URL("./work.ts", import.meta.url));
declare const pool: Executor;

expectType<Equal<typeof work.add, Sendable<Work["add"]>>>();
// @ts-expect-error: it is no function
work.version;
// @ts-expect-error: there is no such export
work.missing;

const sum = await pool.run(work.add, 1, 2);
expectType<Equal<typeof sum, number>>();
const bytes = await toThread(work.later, "name");
expectType<Equal<typeof bytes, Uint8Array>>();
const inLoop = await getRunningLoop().runInExecutor(null, work.later, "name");
expectType<Equal<typeof inLoop, Uint8Array>>();
const job = pool.submit(work.later, "name");
expectType<Equal<typeof job, ExecutorJob<Uint8Array>>>();
const stopped = await pool.run(work.add.with({ stop: "keep", stopDelay: 0 }), 1, 2);
expectType<Equal<typeof stopped, number>>();

// @ts-expect-error: an argument is missing
void pool.run(work.add, 1);
// @ts-expect-error: it takes numbers
void pool.run(work.add, 1, "2");
// @ts-expect-error: a closure cannot be sent
void pool.run(() => 5);
// @ts-expect-error: it is not a generator
pool.stream(work.add, 1, 2);
// @ts-expect-error: there is no such way to stop
work.add.with({ stop: "kill" });

for await (const n of pool.stream(work.numbers, 3)) expectType<Equal<typeof n, number>>();
for await (const text of pool.stream(work.texts)) expectType<Equal<typeof text, string>>();
for await (const item of pool.map(work.later, ["a"])) expectType<Equal<typeof item, Uint8Array>>();

const asked = await pool.run(
  work.ask,
  callback(async (n: number) => n > 1),
);
expectType<Equal<typeof asked, string>>();
