// Primitives that are built on the low-level door alone, as anybody can: they keep the rules that
// ours keep.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { createTask, gather, run, sleep, taskGroup } from "../../src/index.ts";
import { cancelSweep, explore, VirtualLoop } from "../../src/testing.ts";
import { conforms } from "../conformance.ts";
import { rejection } from "../virtual.ts";
import { Latch } from "./latch.ts";
import { Rendezvous } from "./rendezvous.ts";
import { WeightedSemaphore } from "./weighted-semaphore.ts";

conforms("Latch.wait", { wakes: "all", hasFastPath: true }, () => {
  const latch = new Latch(1);
  return { begin: () => latch.wait(), complete: () => latch.countDown() };
});

conforms("Rendezvous.meet", { wakes: "own" }, () => {
  const rendezvous = new Rendezvous<string>();
  return {
    begin: () => rendezvous.meet("mine"),
    complete() {
      if (rendezvous.isAwaited) void rendezvous.meet("theirs");
      return "theirs";
    },
  };
});

conforms("WeightedSemaphore.acquire", { wakes: "own" }, () => {
  const semaphore = new WeightedSemaphore(3);
  let guard: Disposable | undefined;
  return {
    async begin() {
      guard ??= await semaphore.acquire(2);
      using _units = await semaphore.acquire(3);
      return "held";
    },
    complete() {
      guard?.[Symbol.dispose]();
      return "held";
    },
  };
});

describe("primitives on the low-level door", () => {
  for (const name of ["latch", "rendezvous", "weighted-semaphore"]) {
    test(`${name}.ts is what the guide shows`, () => {
      const page = new URL("../../../../docs/guide/operations-of-your-own.md", import.meta.url);
      const source = readFileSync(new URL(`./${name}.ts`, import.meta.url), "utf8");

      const shown = source.replace("../../src/lowlevel.ts", "asyncio-ts/lowlevel").trimEnd();
      assert.ok(readFileSync(page, "utf8").includes(shown));
    });
  }

  test("a latch lets all through when it is counted down, in every order", async () => {
    await explore(async () => {
      const latch = new Latch(2);
      const passed: number[] = [];
      await gather(
        () => latch.wait().then(() => void passed.push(1)),
        () => latch.wait().then(() => void passed.push(2)),
        async () => latch.countDown(),
        () => sleep(1).then(() => latch.countDown()),
      );
      assert.deepEqual(passed.sort(), [1, 2]);
    });
  });

  test("two who meet have what the other has brought, in every order", async () => {
    await explore(async () => {
      const rendezvous = new Rendezvous<string>();
      const pairs = await gather(
        () => rendezvous.meet("a"),
        () => rendezvous.meet("b"),
        () => rendezvous.meet("c"),
        () => rendezvous.meet("d"),
      );
      assert.deepEqual([...pairs].sort(), ["a", "b", "c", "d"]);
      assert.ok(pairs.every((theirs, index) => pairs["abcd".indexOf(theirs)] === "abcd"[index]));
    });
  });

  test("whoever left a rendezvous is not met", () =>
    run(
      async () => {
        const rendezvous = new Rendezvous<string>();
        const early = createTask(() => rendezvous.meet("early"));
        await sleep(1);
        early.cancel();
        await rejection(early);
        const met = await gather(
          () => rendezvous.meet("x"),
          () => rendezvous.meet("y"),
        );
        assert.deepEqual(met, ["y", "x"]);
      },
      { loop: new VirtualLoop() },
    ));

  test("a closed rendezvous refuses those who wait and those who come", () =>
    run(
      async () => {
        const rendezvous = new Rendezvous<string>();
        const waiting = rejection(rendezvous.meet("a"));
        rendezvous.close();
        assert.match(String(await waiting), /is closed/);
        assert.match(String(await rejection(rendezvous.meet("b"))), /is closed/);
      },
      { loop: new VirtualLoop() },
    ));

  test("never more units are held than there are, wherever a task is cancelled", async () => {
    await cancelSweep(async () => {
      const semaphore = new WeightedSemaphore(3);
      const work = async (units: number): Promise<void> => {
        using _units = await semaphore.acquire(units);
        assert.ok(semaphore.free >= 0);
        await sleep(1);
      };
      await taskGroup(async (group) => {
        for (const units of [2, 3, 1, 2]) group.createTask(() => work(units));
      });
      assert.equal(semaphore.free, 3);
    });
  });

  test("the first in line leaves, and the next one fits", () =>
    run(
      async () => {
        const semaphore = new WeightedSemaphore(3);
        using _two = await semaphore.acquire(2);
        const large = createTask(() => semaphore.acquire(3));
        const small = createTask(() => semaphore.acquire(1));
        await sleep(1);
        large.cancel();
        await rejection(large);
        (await small)[Symbol.dispose]();
        assert.equal(semaphore.free, 1);
      },
      { loop: new VirtualLoop() },
    ));
});
