import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createTask,
  next,
  QueueShutDown,
  Rendezvous,
  select,
  sleep,
  taskGroup,
} from "../../src/index.ts";
import { cancelSweep, explore } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection, virtual } from "../virtual.ts";

conforms("Rendezvous.get", { wakes: "own" }, () => {
  const rendezvous = new Rendezvous<number>();
  return {
    begin: () => rendezvous.get(),
    complete() {
      if (rendezvous.statistics().getting > 0) void rendezvous.put(5);
      return 5;
    },
    check: () => assert.deepEqual(rendezvous.statistics(), { getting: 0, putting: 0 }),
  };
});

conforms("Rendezvous.put", { wakes: "own" }, () => {
  const rendezvous = new Rendezvous<number>();
  return {
    begin: () => rendezvous.put(5),
    complete() {
      if (rendezvous.statistics().putting > 0) void rendezvous.get();
    },
    check: () => assert.deepEqual(rendezvous.statistics(), { getting: 0, putting: 0 }),
  };
});

test(
  "put returns when the item was taken, in the order in which they came",
  virtual(async () => {
    const rendezvous = new Rendezvous<string>();
    const log: string[] = [];
    const put = (item: string) => rendezvous.put(item).then(() => void log.push(`${item} taken`));
    const putters = [createTask(() => put("a")), createTask(() => put("b"))];
    await sleep(1);
    assert.equal(log.length, 0);

    log.push(`got ${await rendezvous.get()}`);
    await sleep(0);

    assert.deepEqual(log, ["got a", "a taken"]);
    assert.equal(await rendezvous.get(), "b");
    for (const putter of putters) await putter;
  }),
);

test(
  "shut down: loops end, getters and putters are refused, with the cause if there is one",
  virtual(async () => {
    const cause = new Error("gone");
    const [plain, caused] = [new Rendezvous<number>(), new Rendezvous<number>({ name: "hand" })];
    const loop = createTask(async () => {
      for await (const _ of plain);
    });
    const [getting, stepping] = [
      createTask(() => caused.get()),
      createTask(() => select([next(caused)])),
    ];
    await sleep(0);

    plain.shutdown();
    caused.shutdown({ cause });

    await loop;
    assert.ok((await rejection(plain.put(1))) instanceof QueueShutDown);
    assert.deepEqual(await select([next(plain)]), [0, { done: true, value: undefined }]);
    for (const refused of [getting, stepping, caused.get(), select([next(caused)])])
      assert.equal(await rejection(refused), cause);
    const refused = await rejection(caused.put(1));
    assert.ok(refused instanceof QueueShutDown && refused.cause === cause);
    assert.match(refused.message, /Rendezvous "hand"/);
  }),
);

async function meet(): Promise<void> {
  const rendezvous = new Rendezvous<number>();
  const got: number[] = [];
  await taskGroup(async (group) => {
    for (const item of [1, 2, 3]) group.createTask(() => rendezvous.put(item));
    for (let count = 0; count < 3; count++)
      group.createTask(async () => void got.push(await rendezvous.get()));
  });
  assert.deepEqual(got.sort(), [1, 2, 3]);
}

test("each item arrives once, in any schedule", async () => {
  await explore(meet);
});

test("whoever is cancelled leaves nothing behind", async () => {
  await cancelSweep(meet);
});
