import assert from "node:assert/strict";
import { test } from "node:test";
import { PageError } from "../../src/contract/errors.ts";
import { HeldBytes } from "../../src/contract/held.ts";

test("bytes are counted for all owners together, and given back by each", () => {
  const held = new HeldBytes(100);
  const [one, other] = [held.open(), held.open()];
  one.add(60);
  other.add(40);
  assert.equal(held.total, 100);
  one.give(10);
  assert.deepEqual([one.bytes, held.total], [50, 90]);
  one.end();
  one.end();
  assert.equal(held.total, 40);
  other.end();
  assert.equal(held.total, 0);
});

test("what does not fit is refused by the limit's name, and not counted", () => {
  const held = new HeldBytes(100);
  const one = held.open();
  one.add(100);
  assert.throws(
    () => held.open().add(1),
    (error) => {
      assert.ok(error instanceof PageError);
      assert.deepEqual([error.code, error.status], ["overloaded", 503]);
      assert.deepEqual(error.details.limit, { name: "maxHeldBytes", value: 100 });
      return error.details.retryAfter === 1;
    },
  );
  assert.equal(one.tryAdd(1), false);
  assert.equal(held.total, 100);
});

test("a hold that has ended counts nothing any more", () => {
  const held = new HeldBytes(100);
  const hold = held.open();
  hold.add(10);
  hold.end();
  assert.equal(hold.tryAdd(1000), true);
  hold.give(10);
  assert.equal(held.total, 0);
});
