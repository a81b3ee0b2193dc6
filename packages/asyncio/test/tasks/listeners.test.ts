// What a listener throws goes into the emitter, and from there to the host. So these are programs
// of their own.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFixture } from "../child.ts";

const told =
  /^asyncio: a callback has called `group\.(createTask|start)` when a task group was ending/gm;

describe("a callback that asks an ending group for more does not end the process", () => {
  for (const [scenario, signal, output] of [
    ["listener", "SIGTERM", "cleaned up\n"],
    ["async listener", null, "cleaned up\nend\n"],
    ["timer of the host, after the end", null, "main goes on\nend\n"],
  ] as const) {
    test(`${scenario}: it is reported once, and the cleanup goes on`, async () => {
      const ended = await runFixture("emitters", scenario);

      assert.deepEqual([ended.signal, ended.stdout], [signal, output], ended.stderr);
      assert.equal(ended.stderr.match(told)?.length, 1, ended.stderr);
    });
  }

  test("any other error that nobody catches ends it as without us", async () => {
    const { code, stdout, stderr } = await runFixture("emitters", "another error");

    assert.deepEqual([code, stdout], [1, "uncaught\nuncaught\n"]);
    assert.match(stderr, /Error: of the program/);
    assert.doesNotMatch(stderr, told);
  });

  test("an error that a run ends with is the program's failure, and no callback's", async () => {
    const { code, stdout, stderr } = await runFixture("emitters", "main, after the end");

    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /InvalidStateError: `group\.createTask` cannot start a task/);
    assert.doesNotMatch(stderr, told);
  });

  test("what is caught is thrown as ever, and a listener of the program's own stays alone", async () => {
    const scenario = "caught, and a listener of the program's own";
    const { code, stdout } = await runFixture("emitters", scenario);

    assert.deepEqual([code, stdout], [0, "ERR_ASYNCIO_INVALID_STATE\nown later\nleft 1\n"]);
  });
});
