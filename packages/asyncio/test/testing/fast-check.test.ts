// Properties over data and schedules: fast-check draws and shrinks the data, `explored` the
// schedules.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

/** Moves amounts from one account to another; two transfers at once may lose one. */
const transfers = testing.explored(async (_t, amounts: number[]) => {
  let balance = 0;
  const transfer = async (amount: number) => {
    await asyncio.sleep(0);
    const before = balance;
    if (amount > 100) await asyncio.sleep(0); // a large one is looked at
    balance = before + amount;
  };
  await asyncio.gather(amounts.map((amount) => () => transfer(amount)));
  assert.equal(
    balance,
    amounts.reduce((sum, amount) => sum + amount, 0),
  );
});

test("a property that holds for all data and schedules passes", async () => {
  const small = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 5 });

  await fc.assert(fc.asyncProperty(small, transfers), { numRuns: 20, seed: 1 });
});

test("the data are shrunk first, and the schedule inside is shrunk, too", async () => {
  const any = fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 8 });

  const details = await fc.check(fc.asyncProperty(any, transfers), { seed: 1 });

  assert.ok(details.failed && details.counterexample !== null);
  assert.deepEqual(details.counterexample, [[1, 101]]);
  const error = details.errorInstance;
  assert.ok(error instanceof testing.ScheduleError);
  assert.equal(error.deviations, 1);
  assert.match(error.message, /differs from FIFO in 1 place/);
});

test("the failure of the smallest data is replayed by its string", async () => {
  const details = await fc.check(fc.asyncProperty(fc.constant<number[]>([1, 101]), transfers), {
    seed: 1,
  });
  const error = details.errorInstance;
  assert.ok(error instanceof testing.ScheduleError);

  const again = await transfers([1, 101]).catch((error: unknown) => error);

  assert.ok(again instanceof testing.ScheduleError);
  assert.equal(again.replay, error.replay);
});
