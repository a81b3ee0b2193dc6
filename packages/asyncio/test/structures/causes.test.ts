import assert from "node:assert/strict";
import { test } from "node:test";
import { findCause } from "../../src/structures/causes.ts";

class Wanted extends Error {}
class Stop extends Error {}

const judge = (error: object): string | null | undefined => {
  if (error instanceof Stop) return null;
  return error instanceof Wanted ? error.message : undefined;
};
const caused = (cause: unknown): Error => new Error("outer", { cause });

test("the first answer down the causes is given", () => {
  assert.equal(findCause(new Wanted("itself"), judge), "itself");
  assert.equal(findCause(caused(caused(new Wanted("inner"))), judge), "inner");
  assert.equal(findCause(caused({ cause: new Wanted("of no Error") }), judge), "of no Error");
  assert.equal(findCause(new Wanted("first", { cause: new Wanted("second") }), judge), "first");
});

test("null ends the search", () => {
  assert.equal(findCause(new Stop("", { cause: new Wanted("below") }), judge), undefined);
});

test("an aggregate has an answer if each of its errors has one, whatever its cause", () => {
  const [one, two] = [new Wanted("one"), caused(new Wanted("two"))];

  assert.equal(findCause(new AggregateError([one, two]), judge), "one");
  assert.equal(findCause(caused(new AggregateError([new AggregateError([two])])), judge), "two");
  assert.equal(
    findCause(new AggregateError([one, new Error("other")], "", { cause: one }), judge),
    undefined,
  );
  assert.equal(findCause(new AggregateError([], "", { cause: one }), judge), "one");
});

test("an error that suppresses another one has an answer if both have one: that of the last", () => {
  const first = new Wanted("first");
  const native = new SuppressedError(caused(new Wanted("last")), first, "");
  const compiled = Object.assign(new Error(""), { name: "SuppressedError", suppressed: first });

  assert.equal(findCause(native, judge), "last");
  assert.equal(findCause(Object.assign(compiled, { error: native }), judge), "last");
  assert.equal(findCause(new SuppressedError(new Error("other"), first), judge), undefined);
  assert.equal(findCause(new SuppressedError(first, new Error("other")), judge), undefined);
});

test("what has no cause, or is its own, has no answer", () => {
  const circle = caused(undefined);
  circle.cause = caused(circle);
  const group = new AggregateError([]);
  group.errors.push(group, group);
  for (const thrown of [null, undefined, "text", 5, () => {}, Object.create(null), circle, group])
    assert.equal(findCause(thrown, judge), undefined);
});

test("getters that throw are no answer", () => {
  const trap = Object.defineProperty(new Error("trap"), "cause", {
    get() {
      throw new Error("a getter");
    },
  });

  assert.equal(findCause(caused(trap), judge), undefined);
});

test("a long chain costs no more than its first causes", () => {
  let error: Error = new Wanted("at the bottom");
  for (let count = 0; count < 100_000; count++) error = caused(error);

  assert.equal(findCause(error, judge), undefined);
});

test("a group that is inside many others is looked at once", () => {
  let looks = 0;
  let group = new AggregateError([new Wanted("leaf"), new Wanted("leaf")]);
  for (let depth = 0; depth < 40; depth++) group = new AggregateError([group, group]);
  const counting = (error: object): string | null | undefined => {
    looks++;
    return judge(error);
  };

  assert.equal(findCause(group, counting), "leaf");
  assert.ok(looks < 200, `${looks} looks`);
});
