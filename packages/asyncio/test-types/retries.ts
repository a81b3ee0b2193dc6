// Compiled, never run: each statement is a claim about types.

import {
  CircuitBreaker,
  exponential,
  fallback,
  hedge,
  interval,
  repeat,
  retry,
  type Step,
} from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

declare function load(attempt?: number): Promise<string>;

const page = await retry(exponential(0.1).times(5), load);
expectType<Equal<typeof page, string>>();
await retry([0.1, 1], (attempt: number) => load(attempt));
await retry(({ attempt, error }: Step) => (error instanceof Error ? attempt : undefined), load);
const last = await repeat([1], () => 5);
expectType<Equal<typeof last, number>>();
const fast = await hedge(0.2, load, { max: 3 });
expectType<Equal<typeof fast, string>>();
const either = await fallback(load, async () => 1);
expectType<Equal<typeof either, string | number>>();
const answer = await new CircuitBreaker().run(load);
expectType<Equal<typeof answer, string>>();
for await (const tick of interval(1)) expectType<Equal<typeof tick.missed, number>>();
const delays = [...exponential(1).times(2)];
expectType<Equal<typeof delays, number[]>>();
// @ts-expect-error: the work is running already
retry([1], load());
// @ts-expect-error: a schedule gives numbers
retry(() => "soon", load);
