import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, DeadlockError, moveOnAfter, sleep, taskGroup } from "../../src/index.ts";
import { Pool, resource } from "../../src/patterns.ts";
import { cancelSweep, explore, fault, faultSweep } from "../../src/testing.ts";
import { Plant, use } from "./plant.ts";

describe("explored", () => {
  test("under every schedule nothing is lost, doubled or left open", async () => {
    await explore(
      async (t) => {
        const plant = new Plant();
        {
          await using pool = plant.pool({
            idle: 2,
            lifetime: 4,
            check: () => t.random() > 0.2,
            checkAfter: 1,
          });
          const borrower = async () => {
            await sleep(t.random() * 2);
            await moveOnAfter(t.random() * 4, () => use(pool, t.random()));
          };
          await taskGroup(async (group) => {
            for (let one = 0; one < 4; one++) group.createTask(borrower);
          });
          assert.ok(pool.idle);
        }
        assert.equal(plant.open.size, 0);
        assert.ok(plant.most <= 2);
        assert.equal(plant.log.length, plant.opened);
      },
      { iterations: 1500 },
    );
  });

  test("knots are found under every schedule, and nobody hangs", async () => {
    await explore(
      async () => {
        await using pool = new Plant().pool();
        let knots = 0;
        const greedy = async () => {
          try {
            using _first = await pool.acquire();
            await sleep(0);
            using _second = await pool.acquire();
          } catch (error) {
            if (!(error instanceof DeadlockError)) throw error;
            knots++;
          }
        };
        await taskGroup(async (group) => {
          for (let one = 0; one < 3; one++) group.createTask(greedy);
        });
        assert.ok(knots < 3);
      },
      { iterations: 500 },
    );
  });

  test("a cancellation at any wait loses nothing", async () => {
    const sweep = await cancelSweep(
      async () => {
        const plant = new Plant();
        try {
          await using pool = plant.pool({ max: 1, reset: () => sleep(0.1) });
          await taskGroup(async (group) => {
            group.createTask(() => use(pool, 1));
            group.createTask(() => use(pool, 1));
          });
        } finally {
          assert.deepEqual([...plant.open], []);
        }
      },
      { schedules: 3 },
    );
    assert.ok(sweep.complete);
  });

  test("borrowers that are cancelled lose nothing", async () => {
    const sweep = await cancelSweep(
      async () => {
        const plant = new Plant();
        const pool = plant.pool({ max: 1 });
        const users = ["user 1", "user 2", "user 3"].map((name) =>
          createTask(() => use(pool, 1), { name }),
        );
        for (const user of users) await user.catch(() => {});
        assert.ok(pool.idle);
        await pool.close();
        assert.equal(plant.open.size, 0);
      },
      { victims: /^user/, schedules: 3 },
    );
    assert.ok(sweep.complete);
  });

  test("whatever fails, nothing is lost", async () => {
    const sweep = await faultSweep(async () => {
      const open = new Set<object>();
      const faulty = resource(
        async () => {
          fault("open");
          const item = {};
          open.add(item);
          return item;
        },
        async (item) => void open.delete(item),
      );
      {
        await using pool = new Pool(faulty, {
          max: 2,
          check() {
            fault("check");
            return true;
          },
          checkAfter: 0,
          reset: () => fault("reset"),
        });
        for (let round = 0; round < 3; round++)
          await pool.run(async () => fault("work")).catch(() => {});
        assert.ok(pool.idle);
      }
      assert.equal(open.size, 0);
    });
    assert.ok(sweep.places >= 3);
  });
});
