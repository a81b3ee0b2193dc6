import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { Admission } from "../../src/api/admission.ts";
import { PageError } from "../../src/contract/errors.ts";
import type { Key } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { virtual } from "../support/virtual.ts";

const key: Key = {
  id: "k",
  name: "test",
  scopes: ["fetch"],
  rate: 4,
  burst: 8,
  concurrency: 8,
  budget: null,
  address: null,
  created: new Date(0),
  revoked: null,
};

/** A store whose ledger says what is in `said`; undefined: it is away. */
function world(processes: number, said: { cost: number | undefined } = { cost: 0 }) {
  const usage = async (): Promise<{ cost: number }> => {
    await asyncio.sleep(0);
    if (said.cost === undefined) throw new Error("away");
    return { cost: said.cost };
  };
  const store = { ledger: { usage } } as unknown as Store; // what Admission asks of it here
  const admission = new Admission({ store, processes });
  const enter = async (who: Key): Promise<string> => {
    try {
      (await admission.enter(who))[Symbol.dispose]();
      return "in";
    } catch (error) {
      if (error instanceof PageError) return error.code;
      throw error;
    }
  };
  return { admission, enter };
}

describe("a process among four that have the same store", () => {
  test(
    "allows a quarter of a key's rate",
    virtual(async () => {
      const { enter } = world(4);
      assert.deepEqual([await enter(key), await enter(key)], ["in", "in"]);
      assert.equal(await enter(key), "rate_limited");
      await asyncio.sleep(1);
      assert.deepEqual([await enter(key), await enter(key)], ["in", "rate_limited"]);
    }),
  );

  test(
    "allows a quarter of its requests at a time, and one at least",
    virtual(async () => {
      for (const [concurrency, most] of [
        [8, 2],
        [3, 1],
      ] as const) {
        const { admission } = world(4);
        const who = { ...key, burst: 100, concurrency };
        for (let n = 0; n < most; n++) await admission.enter(who);
        await assert.rejects(admission.enter(who), { code: "concurrency_limited" });
      }
    }),
  );
});

test(
  "what other processes have spent counts within a minute",
  virtual(async () => {
    const said: { cost: number | undefined } = { cost: 3 };
    const { admission, enter } = world(1, said);
    const who = { ...key, budget: 10 };
    assert.equal(await enter(who), "in");
    admission.spend(who, 6);
    said.cost = 20;
    assert.equal(await enter(who), "in");
    await asyncio.sleep(60);
    assert.equal(await enter(who), "over_budget");
  }),
);

test(
  "a ledger that goes away costs no page, and what is spent meanwhile counts",
  virtual(async () => {
    const said: { cost: number | undefined } = { cost: 3 };
    const { admission, enter } = world(1, said);
    const who = { ...key, budget: 10 };
    assert.equal(await enter(who), "in");
    said.cost = undefined;
    await asyncio.sleep(3600);
    assert.equal(await enter(who), "in");
    admission.spend(who, 7);
    assert.equal(await enter(who), "over_budget");
    said.cost = 4;
    assert.equal(await enter(who), "in");
    await assert.rejects(world(1, { cost: undefined }).enter(who), /away/);
  }),
);
