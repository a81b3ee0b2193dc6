import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { condense } from "../../src/tasks/condense.ts";

describe("long lists are condensed", () => {
  test("what differs in its numbers alone is one line, with how many there are", () => {
    const lines = ["a 1 waits 0.5 s", "b waits", "a 20 waits 1,000 s", "a 3 waits 7 s"];

    assert.deepEqual(condense(lines), ["a 1 waits 0.5 s (and 2 more like it)", "b waits"]);
  });

  test("after the first ones comes how many are left", () => {
    const lines = ["a", "b", "c 1", "c 2", "d"];

    assert.deepEqual(condense(lines, 2), ["a", "b", "and 3 more"]);
    assert.deepEqual(condense([]), []);
  });
});
