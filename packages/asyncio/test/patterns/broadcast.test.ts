import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  InvalidStateError,
  moveOnAfter,
  putting,
  select,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { Broadcast, EndOfChannel, Lagged, type Receiver, Watch } from "../../src/patterns.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("Broadcast.send", { wakes: "own" }, () => {
  const broadcast = new Broadcast<number>({ capacity: 1 });
  const slow = broadcast.subscribe();
  broadcast.trySend(0);
  return {
    begin: () => broadcast.send(1),
    complete: () => void (broadcast.statistics().sending > 0 && slow.tryReceive()),
    check: () => assert.equal(broadcast.statistics().sending, 0),
  };
});

function rest<T>(receiver: Receiver<T>): T[] {
  const items: T[] = [];
  for (let got = receiver.tryReceive(); got !== undefined; got = receiver.tryReceive())
    items.push(got.value);
  return items;
}

describe("a broadcast", () => {
  test(
    "each subscriber gets what is sent after it has subscribed",
    virtual(async () => {
      const broadcast = new Broadcast<number>({ capacity: 9 });
      await broadcast.send(0); // nobody is there
      const first = broadcast.subscribe();
      await broadcast.send(1);
      const second = broadcast.subscribe();
      await broadcast.send(2);
      assert.deepEqual([rest(first), rest(second)], [[1, 2], [2]]);
    }),
  );

  test(
    "replay: a new one gets the last items first",
    virtual(async () => {
      const broadcast = new Broadcast<number>({ capacity: 9, replay: 2 });
      for (const item of [1, 2, 3]) await broadcast.send(item);
      const late = broadcast.subscribe();
      await broadcast.send(4);
      assert.deepEqual(rest(late), [2, 3, 4]);
    }),
  );

  test(
    "wait: senders wait for the slowest, and nobody gets what was cancelled",
    virtual(async () => {
      const broadcast = new Broadcast<number>({ capacity: 1 });
      const [fast, slow] = [broadcast.subscribe(), broadcast.subscribe()];
      await broadcast.send(1);
      assert.equal(await fast.receive(), 1);

      assert.ok((await moveOnAfter(1, () => broadcast.send(2))).cancelled);
      assert.equal(broadcast.trySend(3), false);
      const sending = createTask(() => broadcast.send(4));
      await sleep(0);
      slow.close(); // nobody has to wait for it any more

      await sending;
      assert.deepEqual(rest(fast), [4]);
    }),
  );

  test(
    "lag: who is too slow is told how many it has missed, and goes on",
    virtual(async () => {
      const lost: number[] = [];
      const onDrop = (item: number): void => void lost.push(item);
      const broadcast = new Broadcast<number>({ capacity: 2, overflow: "lag", onDrop });
      const slow = broadcast.subscribe();
      for (const item of [1, 2, 3, 4]) await broadcast.send(item);

      const error = await rejection(slow.receive());

      assert.ok(error instanceof Lagged && error.missed === 2);
      assert.deepEqual(
        [rest(slow), lost],
        [
          [3, 4],
          [1, 2],
        ],
      );
      assert.deepEqual(broadcast.statistics(), {
        subscribers: 1,
        sent: 4,
        dropped: 2,
        furthestBehind: 0,
        sending: 0,
      });
    }),
  );

  test(
    "closed: what is left, then the end or the cause; nothing can be sent",
    virtual(async () => {
      const broadcast = new Broadcast<number>({ capacity: 1, replay: 1, name: "prices" });
      const subscription = broadcast.subscribe();
      await broadcast.send(1);
      const waiting = createTask(() => broadcast.send(2));
      await sleep(0);

      broadcast.close();

      assert.ok((await rejection(waiting)) instanceof InvalidStateError);
      assert.match(String(await rejection(broadcast.send(3))), /Broadcast "prices" is closed/);
      assert.deepEqual(await subscription.receive(), 1);
      assert.ok((await rejection(subscription.receive())) instanceof EndOfChannel);
      const late = broadcast.subscribe();
      assert.equal(await late.receive(), 1);
      assert.ok((await rejection(late.receive())) instanceof EndOfChannel);
    }),
  );

  test("wrong options are refused", () => {
    assert.throws(() => new Broadcast({ capacity: 0 }), RangeError);
    assert.throws(() => new Broadcast({ capacity: 1, replay: 2 }), /`replay` as a whole number/);
    assert.throws(() => new Broadcast({ capacity: 1, overflow: "x" as never }), /or "lag"/);
  });
});

async function spread(): Promise<void> {
  const broadcast = new Broadcast<number>({ capacity: 1 });
  const got: number[][] = [[], []];
  await taskGroup(async (group) => {
    for (const items of got) {
      const subscription = broadcast.subscribe();
      group.createTask(async () => {
        for await (const item of subscription) items.push(item);
      });
    }
    await taskGroup(async (senders) => {
      senders.createTask(() => broadcast.send(1));
      senders.createTask(() => select([putting(broadcast, 2)]));
      senders.createTask(() => broadcast.send(3));
    });
    broadcast.close();
  });
  assert.deepEqual(got[0]?.length, 3);
  assert.deepEqual(got[0], got[1]); // the same order for all
}

test("all get the same items in the same order, in any schedule", async () => {
  await explore(spread, { iterations: 500 });
});

test("whoever is cancelled has sent to all or to none", async () => {
  await cancelSweep(spread);
});

test(
  "a change of a Watch is a case of a select",
  virtual(async () => {
    const watch = new Watch("down");
    const changed = watch.changed();
    const waiting = createTask(() => select({ changed, late: 5 }));
    await sleep(0);
    watch.value = "up";
    assert.deepEqual(await waiting, ["changed", "up"]);
    assert.deepEqual(await select({ changed }), ["changed", "up"]); // it has been since that call
    assert.deepEqual(await select({ later: watch.changed(), now: 0 }), ["now", undefined]);
  }),
);
