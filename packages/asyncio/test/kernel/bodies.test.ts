// What a task's body may return, and who the task takes the outcome from.

import assert from "node:assert/strict";
import { AsyncResource } from "node:async_hooks";
import { describe, test } from "node:test";
import { createTask, gather, run, sleep } from "../../src/index.ts";
import { runFixture } from "../child.ts";

/**
 * Makes promises call back in the context that was current at load, as zone.js and pools of workers
 * do, while `body` runs.
 */
async function withPatchedThen<T>(body: () => Promise<T>): Promise<T> {
  const native = Promise.prototype.then;
  const outside = new AsyncResource("patched then");
  const inContext = (handler: unknown) =>
    typeof handler === "function"
      ? (value: unknown) => outside.runInAsyncScope(handler as () => unknown, undefined, value)
      : handler;
  // biome-ignore lint/suspicious/noThenProperty: patching it is what this is about
  Promise.prototype.then = function patched(
    this: Promise<unknown>,
    onFulfilled: unknown,
    onRejected: unknown,
  ) {
    return native.call(this, inContext(onFulfilled) as never, inContext(onRejected) as never);
  } as typeof native;
  try {
    return await body();
  } finally {
    // biome-ignore lint/suspicious/noThenProperty: as above
    Promise.prototype.then = native;
  }
}

describe("R1: a task ends with the outcome of its own body", () => {
  test("also where `then` is patched and calls back in another async context", async () => {
    const results = await withPatchedThen(() =>
      run(async () => {
        const tasks = ["a", "b", "c"].map((name) =>
          createTask(async () => {
            await sleep(0);
            return name;
          }),
        );
        return await gather(tasks);
      }),
    );

    assert.deepEqual(results, ["a", "b", "c"]);
  });

  test("also where `then` was replaced before the library was loaded", async () => {
    const { stdout, stderr, code } = await runFixture("patched-then", "");

    assert.deepEqual({ stdout, stderr, code }, { stdout: "a,Error: b,c\n", stderr: "", code: 0 });
  });

  test("also where the promise has a `then` of its own that calls back in another task's context", async () => {
    const outcomes = await run(async () => {
      let elsewhere: AsyncResource | undefined;
      const owner = createTask(async () => {
        elsewhere = new AsyncResource("a pool");
        await sleep(0.001);
        return "owner";
      });
      await sleep(0);
      const odd = createTask(() => {
        const promise = Promise.resolve("odd");
        const native = promise.then;
        // biome-ignore lint/suspicious/noThenProperty: this is the case
        promise.then = ((onFulfilled: (value: string) => unknown, onRejected: () => unknown) =>
          native.call(
            promise,
            (value) => elsewhere?.runInAsyncScope(onFulfilled, undefined, value),
            onRejected,
          )) as typeof native;
        return promise;
      });
      return [await odd, await owner];
    });

    assert.deepEqual(outcomes, ["odd", "owner"]);
  });
});

describe("a body that returns what only looks like a promise", () => {
  const impostors: Record<string, () => PromiseLike<unknown>> = {
    "a proxy of a promise": () => new Proxy(Promise.resolve(1), {}),
    "an object with the prototype of promises": () => Object.create(Promise.prototype),
    "a promise whose class cannot make promises": () =>
      Object.assign(Promise.resolve(1), {
        constructor: {
          get [Symbol.species](): never {
            throw new TypeError("no species");
          },
        },
      }),
  };
  for (const [what, make] of Object.entries(impostors)) {
    test(`fails as \`await\` of it does: ${what}`, async () => {
      const expected = await Promise.resolve()
        .then(async () => await make())
        .catch((error: unknown) => error);
      const found = await run(async () => {
        const [outcome] = await gather([createTask(make)], { returnExceptions: true });
        return outcome;
      });

      assert.equal(found instanceof Error, expected instanceof Error);
      assert.equal(String(found), String(expected));
    });
  }

  test("fails with what its traps throw", async () => {
    const failure = new Error("no prototype for you");
    const trapped = new Proxy(
      {},
      {
        get() {
          throw failure;
        },
        getPrototypeOf() {
          throw failure;
        },
      },
    ) as PromiseLike<never>;

    await assert.rejects(
      run(async () => await createTask(() => trapped)),
      (error) => error === failure,
    );
  });
});
