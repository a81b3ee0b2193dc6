import assert from "node:assert/strict";
import { test } from "node:test";
import { createTask, Event, gather, sleep, type Task } from "../../src/index.ts";
import { rejection, virtual } from "../virtual.ts";

test(
  "wait gives true, at once when the event is set",
  virtual(async (loop) => {
    const event = new Event();
    event.set();
    event.set();

    assert.equal(await event.wait(), true);
    assert.equal(loop.time(), 0);
  }),
);

test(
  "set wakes everyone who waits, in the order in which they came",
  virtual(async () => {
    const event = new Event();
    const log: string[] = [];
    const waiters = ["a", "b", "c"].map((name) =>
      createTask(async () => {
        await event.wait();
        log.push(name);
      }),
    );
    await sleep(1);

    event.set();

    await gather(waiters);
    assert.deepEqual(log, ["a", "b", "c"]);
  }),
);

test(
  "set and then clear, before the waiters run, wakes them all; they find it cleared (S108)",
  virtual(async () => {
    const event = new Event();
    const look = async () => [await event.wait(), event.isSet()];
    const waiters = [createTask(look), createTask(look)];
    await sleep(1);

    event.set();
    event.clear();

    assert.deepEqual(await gather(waiters), [
      [true, false],
      [true, false],
    ]);
  }),
);

test(
  "whoever comes after clear waits for the next set (S108)",
  virtual(async (loop) => {
    const event = new Event();
    event.set();
    event.clear();
    loop.callLater(3, () => event.set());

    await event.wait();

    assert.deepEqual([loop.time(), event.isSet()], [3, true]);
  }),
);

test(
  "a waiter that was woken and is cancelled then has been woken (S108)",
  virtual(async () => {
    const event = new Event();
    const waiter: Task<string> = createTask(async () => {
      await event.wait();
      return "woken";
    });
    await sleep(1);

    event.set();
    waiter.cancel();

    assert.equal(await waiter, "woken");
  }),
);

test(
  "a cancelled waiter leaves, and the others stay",
  virtual(async () => {
    const event = new Event();
    const [first, second] = [createTask(() => event.wait()), createTask(() => event.wait())];
    await sleep(1);
    first.cancel();
    await rejection(first);

    event.set();

    assert.equal(await second, true);
  }),
);

test(
  "a wait tells which event it waits for",
  virtual(async () => {
    const [named, anonymous] = [new Event({ name: "ready" }), new Event()];
    const waiters = [named, anonymous].map((event) => createTask(() => event.wait()));
    await sleep(1);

    assert.deepEqual(
      waiters.flatMap((waiter) => waiter.waitingFor()),
      ['Event "ready"', "an Event"],
    );
    named.set();
    anonymous.set();
    await gather(waiters);
  }),
);
