import assert from "node:assert/strict";
import { test } from "node:test";
import { PageError } from "../../src/contract/errors.ts";
import { HeldBytes, type Hold } from "../../src/contract/held.ts";

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

/** Adds bytes, a few at a time, until no more fit. Gives how many there are. */
function fill(hold: Hold): number {
  while (hold.tryAdd(10));
  return hold.bytes;
}

test("an owner may hold eight times what is free, in all that it has open", () => {
  const held = new HeldBytes(9000);
  const [one, more] = [held.open("ann"), held.open("ann")];
  one.add(5000);
  assert.equal(fill(more), 3000);
  assert.equal(one.tryAdd(10), false);
  assert.equal(fill(held.open("bob")), 880); // there is room for one more
  one.end();
  more.end();
  assert.ok(held.open("ann").tryAdd(7000));
});

test("owners that all want more have as much as each other", () => {
  const held = new HeldBytes(17_000);
  const [one, other] = [held.open("ann"), held.open("bob")];
  while (one.tryAdd(10) || other.tryAdd(10)) other.tryAdd(10);
  assert.deepEqual([one.bytes, other.bytes], [8000, 8000]);
});

test("a hold without an owner is bounded by the whole, and can be put on an account", () => {
  const held = new HeldBytes(9000);
  const hold = held.open();
  hold.add(9000);
  hold.belongTo("ann");
  assert.equal(hold.tryAdd(1), false);
  hold.give(1000);
  assert.equal(hold.tryAdd(1), false);
  hold.give(1000);
  assert.equal(hold.tryAdd(1), true);
  assert.equal(held.total, 7001);
  hold.end();
  assert.equal(held.total, 0);
});
