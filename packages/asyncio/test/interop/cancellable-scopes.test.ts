import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CancelledError, cancellable, createTask, run, sleep } from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

describe("cancellable: foreign work inside a scope", () => {
  test(
    "stops waiting at once and aborts the work with the CancelledError",
    virtual(async (loop) => {
      let signal: AbortSignal | undefined;
      const work = (given: AbortSignal): Promise<never> => {
        signal = given;
        return new Promise(() => {});
      };
      loop.callLater(1, () => {});
      const task = createTask(() => cancellable(work));
      await sleep(0);

      task.cancel("enough");
      const error = await rejection(task);
      await sleep(0);

      assert.ok(error instanceof CancelledError);
      assert.equal(signal?.aborted, true);
      assert.ok(signal?.reason instanceof CancelledError);
      assert.equal(signal.reason.reason, "enough");
      await sleep(2);
    }),
  );

  test("gives the value of the work, and its failure", async () => {
    const failure = new Error("expected");

    assert.equal(await cancellable(async () => "value"), "value");
    assert.equal(await rejection(cancellable(() => Promise.reject(failure))), failure);
  });

  test("debug mode reports a failure after the abort that is no answer to it", async () => {
    const loop = new VirtualLoop({ debug: true });
    const reports = collectReports(loop);
    const failure = new Error("expected");

    await run(
      async () => {
        const task = createTask(() =>
          cancellable(
            (signal) =>
              new Promise((_resolve, reject) =>
                signal.addEventListener("abort", () => reject(failure)),
              ),
          ),
        );
        await sleep(0);
        task.cancel();
        await rejection(task);
        await sleep(1);
      },
      { loop },
    );

    assert.deepEqual(
      reports.map(({ exception }) => exception),
      [failure],
    );
  });

  test(
    "a failure that is the answer to the abort is not reported",
    virtual(async () => {
      const task = createTask(() =>
        cancellable(
          (signal) =>
            new Promise((_resolve, reject) =>
              signal.addEventListener("abort", () => reject(signal.reason)),
            ),
        ),
      );
      await sleep(0);

      task.cancel();
      await rejection(task);
      await sleep(1);
    }),
  );
});
