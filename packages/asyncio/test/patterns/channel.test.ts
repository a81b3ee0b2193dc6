import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createTask,
  DeadlockError,
  InvalidStateError,
  next,
  putting,
  run,
  select,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { BrokenChannel, channel, EndOfChannel, type Receiver } from "../../src/patterns.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

conforms("receiver.receive", { wakes: "one", hasFastPath: true }, () => {
  const [sender, receiver] = channel<number>(Number.POSITIVE_INFINITY);
  let sent = 0;
  return {
    begin: () => receiver.receive(),
    complete() {
      sender.trySend(++sent);
      return sent;
    },
    check: ({ offered, completed }) =>
      assert.equal(receiver.statistics().size, offered - completed),
  };
});

for (const capacity of [0, 1]) {
  conforms(`sender.send, with a capacity of ${capacity}`, { wakes: "own" }, () => {
    const [sender, receiver] = channel<number>(capacity);
    if (capacity > 0) sender.trySend(0);
    return {
      begin: () => sender.send(1),
      complete: () => void (receiver.statistics().sending > 0 && receiver.tryReceive()),
      check: () => assert.equal(receiver.statistics().sending, 0),
    };
  });
}

async function all<T>(receiver: Receiver<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of receiver) items.push(item);
  return items;
}

describe("a channel ends", () => {
  test(
    "when the last sender is closed, after what is left",
    virtual(async () => {
      const [sender, receiver] = channel<number>(5);
      const other = sender.clone();
      await sender.send(1);
      sender.close();
      sender.close(); // once is enough
      await other.send(2);
      const reading = createTask(() => all(receiver));
      await sleep(1);
      assert.equal(reading.done(), false);

      other[Symbol.dispose]();

      assert.deepEqual(await reading, [1, 2]);
      assert.ok((await rejection(receiver.receive())) instanceof EndOfChannel);
      assert.deepEqual(await select([next(receiver)]), [0, { done: true, value: undefined }]);
    }),
  );

  test(
    "with a cause, as it is, for all who wait and all who come",
    virtual(async () => {
      const [sender, receiver] = channel<number>(5);
      const cause = new Error("the source has gone");
      const waiting = createTask(() => all(receiver));
      const stepping = createTask(() => select([next(receiver)]));
      await sleep(0);

      sender.close(cause);

      for (const refused of [waiting, stepping, receiver.receive(), select([next(receiver)])])
        assert.equal(await rejection(refused), cause);
    }),
  );

  test(
    "items whose senders wait are received before the end",
    virtual(async () => {
      const [sender, receiver] = channel<number>(1);
      sender.trySend(1);
      const sending = createTask(() => sender.send(2));
      await sleep(0);
      sender.close();
      assert.deepEqual(await all(receiver), [1, 2]);
      await sending;
    }),
  );
});

describe("a channel is broken", () => {
  test(
    "when the last receiver is closed: senders are told, and what is left is dropped",
    virtual(async () => {
      const lost: number[] = [];
      const [sender, receiver] = channel<number>(1, { onDrop: (item) => lost.push(item) });
      const other = receiver.clone();
      sender.trySend(1);
      const sending = createTask(() => sender.send(2));
      await sleep(0);
      receiver.close();
      await sleep(0);
      assert.equal(sending.done(), false);

      other.close("enough");

      const error = await rejection(sending);
      assert.ok(error instanceof BrokenChannel && error.cause === "enough");
      assert.deepEqual([lost, sender.statistics().dropped], [[1], 1]);
      assert.throws(() => sender.trySend(3), BrokenChannel);
    }),
  );

  test(
    "a half that was closed cannot be used, and those who wait on the last one are told",
    virtual(async () => {
      const [sender, receiver] = channel<number>(1, { name: "readings" });
      const waiting = createTask(() => receiver.receive());
      await sleep(0);
      receiver.close();
      assert.match(String(await rejection(waiting)), /receiver of Channel "readings"|is closed/i);
      sender.close();

      for (const used of [sender.send(1), receiver.receive(), select([receiver])])
        assert.ok((await rejection(used)) instanceof InvalidStateError);
      assert.throws(() => sender.clone(), /this sender of channel "readings" is closed/);
      assert.throws(() => receiver.clone(), InvalidStateError);
      assert.deepEqual([sender.closed, receiver.closed], [true, true]);
    }),
  );

  test(
    "a half that is closed ends its own waits, and those of its clones go on",
    virtual(async () => {
      const [sender, receiver] = channel<number>(1);
      const other = receiver.clone();
      const waits = [receiver, other, receiver].map((half) => createTask(() => half.receive()));
      const chosen = createTask(() => select({ item: receiver, late: 5 }));
      await sleep(0);

      receiver.close();

      const [first, second, third] = waits as [
        (typeof waits)[0],
        (typeof waits)[0],
        (typeof waits)[0],
      ];
      for (const closed of [first, third, chosen])
        assert.match(String(await rejection(closed)), /this receiver of a channel is closed/);
      await sender.send(1);
      assert.equal(await second, 1);
      assert.equal(other.statistics().receiving, 0);
    }),
  );

  test(
    "what `onDrop` throws is reported",
    virtual(async (loop) => {
      const reports = collectReports(loop);
      const onDrop = (): never => {
        throw new Error("no");
      };
      const [sender] = channel<number>(1, { overflow: "dropNewest", onDrop });
      sender.trySend(1);
      await sender.send(2);
      assert.equal(reports.length, 1);
    }),
  );
});

test(
  "leaving the loop closes nothing",
  virtual(async () => {
    const [sender, receiver] = channel<number>(5);
    for (const item of [1, 2, 3]) sender.trySend(item);
    for await (const item of receiver) if (item === 1) break;
    sender.close();
    assert.deepEqual(await all(receiver), [2, 3]);
  }),
);

test(
  "overflow: the oldest or the newest goes",
  virtual(async () => {
    for (const [overflow, kept] of [
      ["dropOldest", [2, 3]],
      ["dropNewest", [1, 2]],
    ] as const) {
      const [sender, receiver] = channel<number>(2, { overflow });
      for (const item of [1, 2, 3]) await sender.send(item);
      sender.close();
      assert.deepEqual(await all(receiver), kept);
    }
  }),
);

test("wrong capacities and words are refused", () => {
  for (const capacity of [-1, 1.5, Number.NaN])
    assert.throws(() => channel(capacity), RangeError, `${capacity}`);
  assert.throws(() => channel(undefined as never), /`channel` expects a capacity/);
  assert.throws(() => channel(1, { overflow: "lag" as never }), /`overflow` to be "wait"/);
  assert.throws(() => channel(0, { overflow: "dropOldest" }), /a capacity of 1 or more with/);
  assert.throws(() => channel(1, { onDrop: 5 as never }), /`onDrop` as a function/);
});

for (const capacity of [0, 1, Number.POSITIVE_INFINITY]) {
  const body = async (): Promise<void> => {
    const [sender, receiver] = channel<number>(capacity);
    const got: number[] = [];
    await taskGroup(async (group) => {
      for (const item of [1, 2, 3]) {
        const mine = sender.clone();
        group.createTask(async () => {
          using _closed = mine;
          if (item === 2) await select([putting(mine, item)]);
          else await mine.send(item);
        });
      }
      sender.close();
      group.createTask(async () => void got.push(...(await all(receiver))));
      group.createTask(async () => {
        const [, step] = await select([next(receiver)]);
        if (step.done !== true) got.push(step.value);
      });
    });
    assert.deepEqual(got.sort(), [1, 2, 3]);
    assert.deepEqual(receiver.statistics(), {
      size: 0,
      capacity,
      senders: 0,
      receivers: 1,
      sending: 0,
      receiving: 0,
      dropped: 0,
    });
  };

  test(`each item arrives once, in any schedule, with a capacity of ${capacity}`, async () => {
    await explore(body, { iterations: 400 });
  });

  test(`whoever is cancelled has neither sent nor taken, with a capacity of ${capacity}`, async () => {
    await cancelSweep(body);
  });
}

test("a sender that was forgotten is told by the deadlock, with how many are open", async () => {
  const forgetful = run(
    async () => {
      const [sender, receiver] = channel<number>(1, { name: "readings" });
      using clone = sender.clone();
      await clone.send(1);
      for await (const _ of receiver);
    },
    { loop: new VirtualLoop() },
  );

  const error = await rejection(forgetful);

  assert.ok(error instanceof DeadlockError);
  assert.match(error.message, /"readings", 2 senders open, to receive from/);
});
