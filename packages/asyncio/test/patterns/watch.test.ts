import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTask, InvalidStateError, sleep, taskGroup } from "../../src/index.ts";
import { EndOfChannel, Watch } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("Watch.until", { wakes: "all", hasFastPath: true }, () => {
  const watch = new Watch("down");
  return {
    begin: () => watch.until((value) => value === "up"),
    complete() {
      watch.value = "up";
      return "up";
    },
  };
});

describe("a value that is watched", () => {
  test(
    "the present value is enough",
    virtual(async () => {
      assert.equal(await new Watch(5).until((value) => value === 5), 5);
    }),
  );

  test(
    "who is slow sees the latest value only",
    virtual(async () => {
      const watch = new Watch(0);
      const seen: number[] = [];
      const follower = createTask(async () => {
        for await (const value of watch) {
          seen.push(value);
          await sleep(2.6);
        }
      });

      for (let second = 1; second <= 6; second++) {
        await sleep(1);
        watch.value = second;
      }
      watch.close();
      await follower;

      assert.deepEqual(seen, [0, 2, 5, 6]);
    }),
  );

  test(
    "a value that counts as the same is no change",
    virtual(async () => {
      const watch = new Watch({ at: 1, x: "a" }, { equals: (before, now) => before.at === now.at });

      watch.value = { at: 1, x: "b" };
      watch.update(({ at }) => ({ at: at + 1, x: "c" }));

      assert.deepEqual(watch.value, { at: 2, x: "c" });
      assert.equal(watch.statistics().changes, 1);
    }),
  );

  test(
    "the predicate's failure is that of the wait alone",
    virtual(async () => {
      const watch = new Watch(0);
      const broken = createTask(() => watch.until((value) => value > 0 && fail()));
      const other = createTask(() => watch.until((value) => value > 0));
      await sleep(0);

      watch.value = 1;

      assert.equal(String(await rejection(broken)), "Error: broken");
      assert.equal(await other, 1);
    }),
  );
});

describe("a watch that is closed", () => {
  test(
    "keeps its value, and takes no other",
    virtual(async () => {
      const watch = new Watch(1, { name: "state" });
      watch.close();

      assert.equal(await watch.until(() => true), 1);
      assert.throws(
        () => (watch.value = 2),
        (error) => error instanceof InvalidStateError && /Watch "state" is closed/.test(`${error}`),
      );
      assert.ok((await rejection(watch.until(() => false))) instanceof EndOfChannel);
    }),
  );

  test(
    "those who wait get the cause, loops included",
    virtual(async () => {
      const watch = new Watch(1);
      const cause = new Error("the source has gone");
      const waiting = createTask(() => watch.until((value) => value === 2));
      const loop = createTask(async () => {
        for await (const _ of watch);
      });
      await sleep(1);

      watch.close(cause);

      assert.equal(await rejection(waiting), cause);
      assert.equal(await rejection(loop), cause);
    }),
  );
});

async function follow(): Promise<void> {
  const watch = new Watch(0);
  const seen: number[] = [];
  await taskGroup(async (group) => {
    group.createTask(async () => {
      for await (const value of watch) seen.push(value);
    });
    group.createTask(async () => {
      for (const value of [1, 2, 3]) {
        watch.value = value;
        await sleep(0);
      }
      watch.close();
    });
    await watch.until((value) => value === 3);
  });
  assert.equal(seen.at(-1), 3); // the last one is never missed
  assert.deepEqual([...seen].sort(), seen);
}

test("followers miss no last value in any schedule", async () => {
  await explore(follow, { iterations: 300 });
});

test("a follower that is cancelled leaves nothing behind", async () => {
  await cancelSweep(follow);
});

function fail(): never {
  throw new Error("broken");
}
