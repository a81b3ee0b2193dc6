// Compiled, never run: each statement is a claim about types.

import {
  forEachConcurrent,
  gather,
  mapAll,
  mapConcurrent,
  race,
  skip,
  sleep,
  type Task,
  taskGroup,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

declare function load(url: string): Promise<string>;
declare const signal: AbortSignal;

const pages = await mapAll(["/a", "/b"], load, { limit: 10 });
expectType<Equal<typeof pages, string[]>>();
const some = await mapAll(["/a"], async (url) => (url === "" ? skip : await load(url)), {
  limit: 10,
  onError: "collect",
});
expectType<Equal<typeof some, string[]>>();
const nothing = await forEachConcurrent(new Set(["/a"]), load, { limit: 4, signal });
expectType<Equal<typeof nothing, void>>();
for await (const page of mapConcurrent(["/a"], load, { limit: 2, onError: "collect" }))
  expectType<Equal<typeof page, string>>();
// @ts-expect-error the limit is needed
mapAll(["/a"], load);
// @ts-expect-error there is no such word
mapAll(["/a"], load, { limit: 1, onError: "ignore" });

const winner = await race([() => load("/a"), () => sleep(1, 5)], { signal });
expectType<Equal<typeof winner, string | number>>();
const both = await gather([() => load("/a"), () => sleep(1, 5)], { signal });
expectType<Equal<typeof both, [string, number]>>();

await taskGroup(
  async (group) => {
    const body = async (started: (port: number) => void): Promise<void> => started(8080);
    const { value, task } = await group.start(body, { handle: true });
    expectType<Equal<typeof value, number>>();
    expectType<Equal<typeof task, Task<unknown>>>();
    const plain = await group.start(body);
    expectType<Equal<typeof plain, number>>();
    expectType<Equal<ReturnType<typeof group.children>, Task<unknown>[]>>();
  },
  { onError: (_error, task) => task.getName() },
);
const text = await taskGroup(async () => "x", { onError: "bare" });
expectType<Equal<typeof text, string>>();
