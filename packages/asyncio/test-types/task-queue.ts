// Compiled, never run: each statement is a claim about types.

import { taskGroup } from "../src/index.ts";
import { type Job, RateLimiter, TaskQueue } from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

declare function load(): Promise<string>;

const total = await taskGroup(async (group) => {
  const queue = new TaskQueue({ limit: 5, owner: group, rate: new RateLimiter({ rate: 1 }) });
  const job = queue.add(load, { priority: 1, timeout: 30, name: "load" });
  expectType<Equal<typeof job, Job<string>>>();
  const page = await job;
  expectType<Equal<typeof page, string>>();
  // @ts-expect-error: the work is running already
  queue.add(load());
  // @ts-expect-error: it begins when its turn has come
  queue.add(load, { eagerStart: true });
  return page.length;
});
expectType<Equal<typeof total, number>>();
await taskGroup(async (group) => void new TaskQueue({ owner: group }));
// @ts-expect-error: a promise is no owner
new TaskQueue({ owner: load() });
