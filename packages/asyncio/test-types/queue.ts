// Compiled, never run: each statement is a claim about types.

import { Queue, run, sleep, type Task } from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

const queue = new Queue<number>(10, { name: "numbers" });

expectType<Equal<ReturnType<typeof queue.get>, Promise<number>>>();
expectType<Equal<ReturnType<typeof queue.getNowait>, number>>();
expectType<Equal<ReturnType<typeof queue.put>, Promise<void>>>();
expectType<Equal<ReturnType<typeof queue.join>, Promise<void>>>();
for await (const item of queue) expectType<Equal<typeof item, number>>();

// What `await` would unwrap anyway, the types unwrap too; boxed it comes out as it went in.
declare const tasks: Queue<Task<string>>;
expectType<Equal<Awaited<ReturnType<typeof tasks.get>>, string>>();
for await (const item of tasks) expectType<Equal<typeof item, string>>();
declare const boxes: Queue<{ task: Task<string> }>;
expectType<Equal<Awaited<ReturnType<typeof boxes.get>>, { task: Task<string> }>>();

// @ts-expect-error another type of item
queue.put("one");
// @ts-expect-error another type of item
queue.putNowait(undefined);
// @ts-expect-error fixed when it was made
queue.maxsize = 1;
// @ts-expect-error there is no such option
queue.shutdown({ immediately: true });

expectType<Equal<Awaited<ReturnType<typeof run<number>>>, number>>();
const slept = await sleep(1);
expectType<Equal<typeof slept, void>>();
const given = await sleep(1, "x");
expectType<Equal<typeof given, string>>();
// @ts-expect-error seconds are a number
sleep("1");
// @ts-expect-error a bare promise is running already
run(sleep(1));
