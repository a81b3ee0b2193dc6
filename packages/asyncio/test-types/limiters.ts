// Compiled, never run: each statement is a claim about types.

import { Event, Lock, select } from "../src/index.ts";
import { type CapacityLimiter, Keyed, type RateLimiter } from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

// --- limiters give what their bodies give, and Keyed what it makes

declare const rate: RateLimiter;
declare const capacity: CapacityLimiter;

const rated = await rate.run(async () => 1, { weight: 2 });
expectType<Equal<typeof rated, number>>();
const lent = await capacity.run(() => "text", { key: "ann", borrower: {} });
expectType<Equal<typeof lent, string>>();
const loan = capacity.tryAcquire();
expectType<Equal<typeof loan, Disposable | undefined>>();

const locks = new Keyed((_id: number) => new Lock(), { idle: 60 });
const lock = locks.for(7);
expectType<Equal<typeof lock, Lock>>();
// @ts-expect-error: nobody can tell whether an Event is missed
new Keyed(() => new Event());
// @ts-expect-error: the work is running already
rate.run(Promise.resolve(1));

const [which, given] = await select({ turn: rate, loan: capacity, lock: locks.for(1) });
if (which === "turn") expectType<Equal<typeof given, undefined>>();
else expectType<Equal<typeof given, Disposable>>();
