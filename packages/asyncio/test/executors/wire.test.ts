// The pipes between a pool and the thread of a worker process.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FrameReader, frameOf, hasWires } from "../../src/executors/wire.ts";
import { callback, WorkerLostError } from "../../src/executors.ts";
import { createTask, Event, sleep } from "../../src/index.ts";
import { rejection } from "../virtual.ts";
import { jobs, processes } from "./pools.ts";
import "./leftovers.ts";

/** What a reader takes out of these pieces. */
function takenFrom(pieces: Iterable<Buffer>): unknown[] {
  const taken: unknown[] = [];
  const broken = () => taken.push("broken");
  const frames = new FrameReader((message) => taken.push(message), broken);
  for (const piece of pieces) frames.push(piece);
  return taken;
}

describe("frames", () => {
  const messages = [
    [0, "a"],
    { map: new Map([[1, new Uint8Array([1, 2])]]) },
    null,
    "x".repeat(99),
  ];
  const bytes = Buffer.concat(messages.map(frameOf));

  test("come out of pieces of any size", () => {
    for (let size = 1; size <= bytes.length; size++) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      assert.deepEqual(takenFrom(pieces), messages);
    }
  });

  test("are read from a buffer that is used again for the next piece", () => {
    const piece = Buffer.alloc(7);
    const pieces = function* () {
      for (let at = 0; at < bytes.length; at += piece.length)
        yield piece.subarray(0, bytes.copy(piece, 0, at, at + piece.length));
    };

    assert.deepEqual(takenFrom(pieces()), messages);
  });

  test("have arrays that share their memory with nothing else", () => {
    const [array] = takenFrom([Buffer.concat([frameOf(new Uint8Array([1, 2])), bytes])]);

    assert.ok(array instanceof Uint8Array && array.buffer.byteLength < 20);
  });

  test("that are none are told of once, and nothing is taken after them", () => {
    const [one, two] = [frameOf(1), frameOf(2)];
    const damaged = Buffer.from(one).fill(255, 8); // its head is that of a frame

    assert.deepEqual(takenFrom([one, Buffer.alloc(20, 3), two, two]), [1, "broken"]);
    assert.deepEqual(takenFrom([Buffer.concat([one, damaged, two]), two]), [1, "broken"]);
  });
});

describe("over the wire of a process", { skip: !hasWires && "this host has none" }, () => {
  test(
    "arguments and results go that are larger than a pipe",
    processes(async (pool) => {
      const given = new Float64Array(500_001).map((_, index) => index);
      const got = (await pool.run(jobs.same, given)) as Float64Array;

      assert.deepEqual([got.length, got[1], got.at(-1)], [500_001, 1, 500_000]);
    }),
  );

  test(
    "one job after the other gets its own result",
    processes(
      async (pool) => {
        for (let n = 0; n < 200; n++) {
          const two = createTask(() => pool.run(jobs.same, `${n}`));
          assert.deepEqual([await pool.run(jobs.same, n), await two], [n, `${n}`]);
        }
      },
      { maxWorkers: 2 },
    ),
  );

  test(
    "a worker that writes what is no frame is ended, and the pool goes on",
    processes(async (pool) => {
      const first = await pool.run(jobs.pid);
      const error = await rejection(pool.run(jobs.writeGarbage));

      assert.ok(error instanceof WorkerLostError, String(error));
      assert.notEqual(await pool.run(jobs.pid), first);
    }),
  );
});

describe("a process that dies while it is written to", () => {
  /** More than any pipe takes. */
  const large = () => new Uint8Array(20_000_000);

  test(
    "costs the job whose arguments were on their way",
    processes(async (pool) => {
      const pid = await pool.run(jobs.pid);
      process.kill(pid, "SIGSTOP"); // it reads nothing
      const job = pool.submit(jobs.same, large());
      await sleep(0.01);
      process.kill(pid, "SIGKILL");
      const error = await rejection(job);

      assert.ok(error instanceof WorkerLostError, String(error));
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );

  test(
    "costs the job whose callback was about to be answered",
    processes(async (pool) => {
      const pid = await pool.run(jobs.pid);
      const stopped = new Event();
      const answer = callback(async () => {
        process.kill(pid, "SIGSTOP");
        stopped.set();
        return large();
      });
      const job = pool.submit(jobs.call, answer);
      const dying = createTask(async () => {
        await stopped.wait();
        await sleep(0.05);
        process.kill(pid, "SIGKILL");
      });
      const error = await rejection(job);

      assert.ok(error instanceof WorkerLostError, String(error));
      await dying;
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );
});
