import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CancelledError,
  CancelScope,
  createTask,
  Future,
  InvalidStateError,
  sleep,
  timeout,
} from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

const forever = (): Promise<void> => sleep(Number.POSITIVE_INFINITY);

describe("CancelScope", () => {
  test(
    "cancel ends the waits of its body, and run gives undefined",
    virtual(async (loop) => {
      const scope = new CancelScope();
      const running = scope.run(forever);
      await sleep(1);
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [false, false]);
      scope.cancel("enough");

      assert.equal(await running, undefined);
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [true, true]);
      assert.equal(loop.time(), 1);
    }),
  );

  test(
    "its CancelledErrors tell the reason and who asked",
    virtual(async () => {
      const scope = new CancelScope();
      let caught: unknown;
      const running = scope.run(() =>
        forever().catch((error) => {
          caught = error;
          throw error;
        }),
      );
      createTask(async () => scope.cancel("enough"), { name: "boss" });
      await running;

      assert.ok(caught instanceof CancelledError);
      assert.deepEqual(
        [caught.reason, caught.requestedBy, caught.source],
        ["enough", "boss", "cancel"],
      );
    }),
  );

  test(
    "cancelled before run ends the first wait of the body",
    virtual(async () => {
      const scope = new CancelScope();
      scope.cancel("early");
      assert.ok(scope.cancelCalled);
      let steps = 0;

      const result = await scope.run(async () => {
        steps++;
        await sleep(0);
        steps++;
      });

      assert.deepEqual([result, steps, scope.cancelled], [undefined, 1, true]);
    }),
  );

  test(
    "a body that returns a value is finished, whatever was asked meanwhile",
    virtual(async () => {
      const scope = new CancelScope();
      const result = await scope.run(async () => {
        scope.cancel();
        return "value";
      });

      assert.equal(result, "value");
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [true, false]);
    }),
  );

  test(
    "a deadline cuts the body off, and can be moved before and during the run",
    virtual(async (loop) => {
      const scope = new CancelScope({ deadline: 1 });
      scope.deadline = 2;
      const running = scope.run(forever);
      await sleep(1);
      scope.deadline = 3;

      assert.equal(await running, undefined);
      assert.equal(scope.deadline, 3);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "is for one body",
    virtual(async () => {
      const scope = new CancelScope();
      await scope.run(async () => {});

      const error = await rejection(scope.run(async () => {}));

      assert.ok(error instanceof InvalidStateError);
      assert.equal(
        error.message,
        "`CancelScope.run` was called twice. A scope is for one body: make another",
      );
    }),
  );

  test(
    "cancel after the end does nothing",
    virtual(async () => {
      const scope = new CancelScope();
      await scope.run(async () => {});
      scope.cancel();

      assert.ok(!scope.cancelled);
    }),
  );

  test(
    "a shield keeps outer cancellations out, and they come back behind it",
    virtual(async () => {
      const log: unknown[] = [];
      const task = createTask(async () => {
        const shield = new CancelScope({ shield: true });
        log.push(await shield.run(() => sleep(2, "shielded")));
        await sleep(1);
      });
      await sleep(1);
      task.cancel();

      assert.ok((await rejection(task)) instanceof CancelledError);
      assert.deepEqual(log, ["shielded"]);
    }),
  );

  test(
    "a shield can be cancelled by itself",
    virtual(async () => {
      const shield = new CancelScope({ shield: true });
      const running = shield.run(forever);
      shield.cancel();

      assert.equal(await running, undefined);
    }),
  );

  test(
    "a scope inside a shield is kept safe with it",
    virtual(async () => {
      const task = createTask(async () => {
        const shield = new CancelScope({ shield: true });
        return await shield.run(() => timeout(5, () => sleep(2, "safe")));
      });
      await sleep(1);
      task.cancel();

      assert.equal(await task, "safe");
    }),
  );

  test(
    "cancelGrace says when a body that swallows is cancelled again",
    virtual(async (loop) => {
      const scope = new CancelScope({ cancelGrace: 2 });
      const running = scope.run(() => forever().catch(forever));
      await sleep(1);
      scope.cancel();

      assert.equal(await running, undefined);
      assert.equal(loop.time(), 3);
    }),
  );

  test(
    "swallows its own cancellation only",
    virtual(async () => {
      const inner = new CancelScope();
      const outer = new CancelScope();
      let after = false;
      const running = outer.run(async () => {
        await inner.run(forever);
        after = true;
      });
      await sleep(1);
      outer.cancel();

      await running;
      assert.ok(!after);
      assert.deepEqual([inner.cancelled, outer.cancelled], [false, true]);
    }),
  );

  test(
    "can be run while another task cancels it, again and again",
    virtual(async () => {
      for (let round = 0; round < 10; round++) {
        const scope = new CancelScope();
        const canceller = createTask(async () => scope.cancel());
        assert.equal(await scope.run(async () => await new Future<void>()), undefined);
        await canceller;
      }
    }),
  );

  test(
    "wrong options throw at once",
    virtual(async () => {
      assert.throws(() => new CancelScope({ deadline: Number.NaN }), RangeError);
      assert.throws(() => new CancelScope({ cancelGrace: "1" as never }), {
        name: "TypeError",
        message: '`new CancelScope` expects `cancelGrace` in seconds, got "1"',
      });
    }),
  );
});

describe("F15: CancelScope", () => {
  test(
    "gives the value of a body that was not cut off",
    virtual(async () => {
      const scope = new CancelScope();

      assert.equal(await scope.run(() => sleep(1, "value")), "value");
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [false, false]);
    }),
  );

  test(
    "gives undefined when it was cut off",
    virtual(async () => {
      const scope = new CancelScope();
      const running = scope.run(() => sleep(10, "value"));
      await sleep(1);

      scope.cancel();

      assert.equal(await running, undefined);
      assert.deepEqual([scope.cancelCalled, scope.cancelled], [true, true]);
    }),
  );

  test(
    "cancelled before it runs, it cuts its body off at the first wait",
    virtual(async () => {
      const log: string[] = [];
      const scope = new CancelScope();
      scope.cancel();

      await scope.run(async () => {
        log.push("starts");
        await sleep(1);
        log.push("not reached");
      });

      assert.deepEqual([log, scope.cancelled], [["starts"], true]);
    }),
  );

  test(
    "runs one body only",
    virtual(async () => {
      const scope = new CancelScope();
      await scope.run(() => sleep(1));

      await assert.rejects(
        scope.run(() => sleep(1)),
        { code: "ERR_ASYNCIO_INVALID_STATE" },
      );
    }),
  );

  test(
    "its deadline can be moved while it runs",
    virtual(async (loop) => {
      const scope = new CancelScope({ deadline: 1 });

      await scope.run(async () => {
        scope.deadline = 3;
        await sleep(10);
      });

      assert.deepEqual([loop.time(), scope.cancelled, scope.deadline], [3, true, 3]);
    }),
  );

  test(
    "a swallowed cancellation leaves cancelled false",
    virtual(async () => {
      const scope = new CancelScope({ deadline: 1 });

      const value = await scope.run(() => sleep(10).catch(() => "swallowed"));

      assert.deepEqual([value, scope.cancelCalled, scope.cancelled], ["swallowed", true, false]);
    }),
  );
});
