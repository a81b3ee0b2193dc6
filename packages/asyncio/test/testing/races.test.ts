import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import * as testing from "../../src/testing.ts";

const { createTask, gather, sleep } = asyncio;
const { cell, runTest, tracked } = testing;

async function raceOf(body: () => Promise<unknown>): Promise<string> {
  const error = await runTest(body).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof testing.RaceError, `no race: ${String(error)}`);
  assert.equal(error.message, error.races.join("\n"));
  return error.message;
}

suite("a cell", () => {
  test("tells of a lost update, with all three places, even if the outcome is right", async () => {
    const message = await raceOf(async () => {
      const balance = cell(0, "balance");
      const add = (amount: number) => async () => {
        const before = balance.value;
        await sleep(0);
        balance.value = before + amount;
      };
      await gather(add(0), add(0));
      assert.equal(balance.value, 0);
    });

    assert.match(
      message,
      /^lost update on balance:\n {2}"Task-2" read it at races\.test\.ts:\d+\n {2}"Task-1" wrote it at races\.test\.ts:\d+\n {2}"Task-2" wrote over that at races\.test\.ts:\d+\n {2}Read and write it in one step/,
    );
  });

  test("is silent when it is read and written in one step, or under a lock", async () => {
    await runTest(async () => {
      const balance = cell(0, "balance");
      const lock = new asyncio.Lock();
      const inOneStep = async () => {
        await sleep(0);
        balance.value += 1;
      };
      await gather(inOneStep, inOneStep);
      const locked = () =>
        lock.run(async () => {
          const before = balance.value;
          await sleep(0);
          balance.value = before + 1;
        });
      await gather(locked, locked);
      assert.equal(balance.value, 4);
    });
  });

  test("is silent when it is read again before it is written", async () => {
    await runTest(async () => {
      const latest = cell("", "latest");
      const update = (text: string) => async () => {
        if (latest.value === text) return;
        await sleep(0);
        latest.value = latest.value < text ? text : latest.value;
      };
      await gather(update("a"), update("b"));
    });
  });

  test("is a plain holder outside of tests", async () => {
    const count = cell(1);

    count.value++;
    await asyncio.run(async () => void count.value++);

    assert.equal(count.value, 3);
  });
});

suite("a tracked object", () => {
  test("tells of lost updates of each property, by its name", async () => {
    const message = await raceOf(async () => {
      const stock = tracked({ apples: 5, pears: 5 }, { name: "stock" });
      const take = async () => {
        const left = stock.apples;
        await sleep(0);
        stock.apples = left - 1;
      };
      await gather(take, take, async () => void stock.pears--);
    });

    assert.match(message, /^lost update on stock\.apples:/);
  });

  test("tells of a torn read", async () => {
    const message = await raceOf(async () => {
      const range = tracked({ from: 0, to: 10 }, { name: "range" });
      const move = async () => {
        range.from = 20;
        await sleep(0);
        range.to = 30;
      };
      await gather(move, async () => range.to - range.from);
    });

    assert.match(
      message,
      /^torn read of range:\n {2}"Task-1" wrote range\.from at .*\n {2}"Task-2" read range\.from and range\.to at .*\n {2}"Task-1" wrote range\.to at .*, in a later step/,
    );
  });

  test("takes a half-done update for whole if its invariant holds", async () => {
    await runTest(async () => {
      const range = tracked({ from: 0, to: 10 }, { invariant: ({ from, to }) => from <= to });
      const move = async () => {
        range.to = 30;
        await sleep(0);
        range.from = 20;
      };
      await gather(move, async () => range.to - range.from);
    });
  });

  test("may be a Map or a Set: its entries are watched", async () => {
    const map = await raceOf(async () => {
      const cache = tracked(new Map<string, number>(), { name: "cache" });
      const load = async () => {
        if (cache.has("a")) return;
        await sleep(0);
        cache.set("a", 1);
      };
      await gather(load, load);
    });
    const set = await raceOf(async () => {
      const seats = tracked(new Set(["1A"]), { name: "seats" });
      const take = async () => {
        if (!seats.has("1A")) return;
        await sleep(0);
        seats.delete("1A");
      };
      await gather(take, take);
    });

    assert.match(map, /^lost update on cache\.a:/);
    assert.match(set, /^lost update on seats\.1A:/);
  });

  test("behaves as the object behind it", async () => {
    class Account {
      balance = 1;
      get double() {
        return this.balance * 2;
      }
      add(amount: number) {
        this.balance += amount;
        return this;
      }
    }
    await runTest(async () => {
      const account = tracked(new Account());
      assert.ok(account instanceof Account);
      assert.equal(account.add(2).double, 6);
      assert.deepEqual(Object.keys(account), ["balance"]);
      const heir = Object.create(account) as Account;
      heir.balance = 9;
      assert.deepEqual([heir.balance, account.balance], [9, 3]);
      const map = tracked(new Map([[1, "a"]]));
      assert.equal(map.set(2, "b"), map);
      assert.deepEqual([map.size, [...map.values()], map.get(2)], [2, ["a", "b"], "b"]);
      const list = tracked([3, 1, 2]);
      list.sort();
      assert.deepEqual([...list], [1, 2, 3]);
    });
    // @ts-expect-error
    assert.throws(() => tracked(5), TypeError);
  });

  test("shows what was read and written in the table", async () => {
    const error = await testing
      .explore(async () => {
        const flags = tracked({ on: false }, { name: "flags" });
        const set = createTask(async () => {
          flags.on = true;
        });
        await set;
        throw new Error(String(flags.on));
      })
      .catch((error: unknown) => error);

    assert.ok(error instanceof testing.ScheduleError);
    assert.match(error.table, /writes flags\.on = true {2}races\.test\.ts:\d+/);
    assert.match(error.table, /reads flags\.on = true {2}races\.test\.ts:\d+/);
  });
});

suite("a Sequencer", () => {
  test("runs bodies in the order of their positions under every schedule", async () => {
    await testing.explore(async () => {
      const sequencer = new testing.Sequencer();
      const log: number[] = [];
      const at = (position: number) => () =>
        sequencer.run(position, async () => {
          log.push(position);
          await sleep(0);
        });
      await gather(at(2), at(0), at(1));
      assert.deepEqual(log, [0, 1, 2]);
    });
  });

  test("gives what the body returns", async () => {
    await runTest(async () => {
      assert.equal(await new testing.Sequencer().run(0, async () => "value"), "value");
    });
  });

  test("is broken by a body that fails, and by a turn that is not waited for", async () => {
    await runTest(async () => {
      const failing = new testing.Sequencer();
      const waiting = createTask(() => failing.run(1, async () => {}));
      await assert.rejects(
        failing.run(0, () => Promise.reject(new Error("no"))),
        /^Error: no$/,
      );
      await assert.rejects(waiting, /the order of the Sequencer is broken: the body of position 0/);

      const cancelled = new testing.Sequencer();
      const second = createTask(() => cancelled.run(1, async () => {}));
      await sleep(0);
      second.cancel();
      await assert.rejects(second, asyncio.CancelledError);
      await assert.rejects(
        cancelled.run(2, async () => {}),
        asyncio.InvalidStateError,
      );
    });
  });

  test("refuses what is no position, and a position twice", async () => {
    await runTest(async () => {
      const sequencer = new testing.Sequencer();
      await sequencer.run(0, async () => {});
      await assert.rejects(
        sequencer.run(0, async () => {}),
        /position 0 a second time/,
      );
      await assert.rejects(
        sequencer.run(-1, async () => {}),
        RangeError,
      );
    });
  });
});
