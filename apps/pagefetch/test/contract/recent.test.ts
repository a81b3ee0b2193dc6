import assert from "node:assert/strict";
import { test } from "node:test";
import { Recent } from "../../src/contract/recent.ts";

const namesIn = (recent: Iterable<readonly [string, unknown]>): string =>
  [...recent].map(([name]) => name).join("");

test("what was used least recently is forgotten first, and a look is a use", () => {
  const recent = new Recent<string, number>(3);
  for (const [index, name] of [..."abc"].entries()) recent.set(name, index);

  assert.equal(recent.get("a"), 0);
  recent.set("d", 3);

  assert.equal(namesIn(recent), "cad");
  assert.equal(recent.get("b"), undefined);
});

test("what is put again is there once, with its new weight", () => {
  const recent = new Recent<string, string>(10, (text) => text.length);
  recent.set("a", "four");
  recent.set("b", "two");

  recent.set("a", "1");

  assert.deepEqual([namesIn(recent), recent.weight], ["ba", 4]);
});

test("many go for one that is heavy, which stays itself", () => {
  const recent = new Recent<string, number>(10, (weight) => weight);
  for (const name of "abcd") recent.set(name, 2);

  recent.set("e", 7);
  assert.deepEqual([namesIn(recent), recent.weight], ["de", 9]);
  recent.set("f", 100);
  assert.deepEqual([namesIn(recent), recent.weight], ["f", 100]);
  recent.set("g", 1);
  assert.deepEqual([namesIn(recent), recent.weight], ["g", 1]);
});

test("a value is made where there is none", () => {
  const recent = new Recent<string, object>(2);
  const made = recent.getOrMake("a", () => ({}));

  assert.equal(
    recent.getOrMake("a", () => assert.fail("it is there")),
    made,
  );
  assert.equal(recent.delete("a"), true);
  assert.equal(recent.delete("a"), false);
  assert.equal(recent.weight, 0);
});
