import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, DeadlockError, Lock, sleep } from "../../src/index.ts";
import type { Pool } from "../../src/patterns.ts";
import { rejection, virtual } from "../virtual.ts";
import { Plant, use } from "./plant.ts";

describe("knots", () => {
  /** Holds one for a second, then wants another. */
  const twice = (pool: Pool<number>, name: string) =>
    createTask(
      async () => {
        using _first = await pool.acquire();
        await sleep(1);
        using _second = await pool.acquire();
      },
      { name },
    );

  test(
    "everyone who holds waits for one more: the last is told at once, by name",
    virtual(async (loop) => {
      await using pool = new Plant().pool();
      const [ann, bob] = [twice(pool, "ann"), twice(pool, "bob")];

      const error = await rejection(bob);

      assert.ok(error instanceof DeadlockError);
      assert.equal(
        error.message,
        [
          'everyone who holds an item of pool "db" waits for one more, or for somebody who does:',
          '  task "bob" waits for pool "db", 1 waiting, held by task "ann", task "bob"',
          '  task "ann" waits for pool "db", 1 waiting, held by task "ann", task "bob"',
        ].join("\n"),
      );
      assert.deepEqual(error.tasks, [bob, ann]);
      assert.equal(await ann, undefined);
      assert.equal(loop.time(), 2);
    }),
  );

  test(
    "a task that holds the only one waits for itself",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      using _loan = await pool.acquire();

      await assert.rejects(pool.acquire(), DeadlockError);
    }),
  );

  test(
    "a holder who waits for a lock of one who waits for the pool",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      const lock = new Lock();
      const ann = createTask(async () => {
        using _loan = await pool.acquire();
        await sleep(1);
        await lock.run(async () => {});
      });
      await sleep(1);
      const bob = createTask(() =>
        lock.run(async () => {
          await sleep(2);
          await pool.run(async () => {});
        }),
      );

      assert.ok((await rejection(bob)) instanceof DeadlockError);
      await ann;
    }),
  );

  test(
    "a holder who awaits a task that waits for the pool",
    virtual(async () => {
      await using pool = new Plant().pool({ max: 1 });
      const deadlock = pool.run(async () => {
        await createTask(() => use(pool, 0));
      });

      await assert.rejects(deadlock, DeadlockError);
    }),
  );

  test(
    "it is none as long as one holder can go on",
    virtual(async () => {
      await using pool = new Plant().pool();
      const [ann, free] = [twice(pool, "ann"), createTask(() => use(pool, 5))];

      await Promise.all([ann, free]);
    }),
  );

  test(
    "branches of one task that borrow side by side are no knot",
    virtual(async () => {
      await using pool = new Plant().pool();
      const query = () => pool.run(async (item) => item);
      const slow = () => use(pool, 1);

      assert.equal((await Promise.all([query(), query(), query(), query(), query()])).length, 5);
      await Promise.all([slow(), slow(), slow()]);
    }),
  );

  test(
    "branches that borrow side by side when the items are open",
    virtual(async () => {
      await using pool = new Plant().pool();
      await Promise.all([use(pool, 1), use(pool, 1)]);
      const foreign = async () => {
        using _loan = await pool.acquire();
        await new Promise((resolve) => setImmediate(resolve));
      };

      await createTask(async () => void (await Promise.all([foreign(), foreign(), foreign()])));
    }),
  );
});
