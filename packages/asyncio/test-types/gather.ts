// Compiled, never run: each statement is a claim about types.

import {
  type CancelledError,
  createTask,
  Future,
  gather,
  type Results,
  type Settled,
  type Task,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

declare const task: Task<number>;
declare const promises: Promise<string>[];
declare const thunks: (() => Promise<boolean>)[];

// A tuple of results, in the order of the arguments.
const mixed = await gather(async () => "a", task, new Future<boolean>(), Promise.resolve([1]));
expectType<Equal<typeof mixed, [string, number, boolean, number[]]>>();

const listed = await gather([async () => "a", task]);
expectType<Equal<typeof listed, [string, number]>>();

const none = await gather();
expectType<Equal<typeof none, []>>();

const emptyList = await gather([]);
expectType<Equal<typeof emptyList, []>>();

// Lists of any length.
const strings = await gather(...promises);
expectType<Equal<typeof strings, string[]>>();

const booleans = await gather(thunks);
expectType<Equal<typeof booleans, boolean[]>>();

// Results are what `await` gives.
const flattened = await gather(async () => createTask(async () => 1));
expectType<Equal<typeof flattened, [number]>>();

// With returnExceptions, each may be a failure.
const settled = await gather([async () => "a", task], { returnExceptions: true });
expectType<Equal<typeof settled, [string | Error, number | Error]>>();
expectType<Equal<Settled<[Task<number>]>, [number | Error]>>();
expectType<Equal<Results<[Task<number>]>, [number]>>();

const unsettled = await gather([task], { returnExceptions: false });
expectType<Equal<typeof unsettled, [number]>>();

for (const result of settled) {
  if (result instanceof Error) expectType<Equal<typeof result, Error>>();
  else expectType<Equal<typeof result, string | number>>();
}

// @ts-expect-error a value is no awaitable
gather(1);
// @ts-expect-error options go with a list
gather(task, { returnExceptions: true });
// @ts-expect-error there is no such option
gather([task], { returnErrors: true });

declare const error: CancelledError;
expectType<Equal<typeof error.reason, unknown>>();
