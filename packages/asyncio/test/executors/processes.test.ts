// Pools of processes: as threads, and what only they can.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { callback, NotSendableError, WorkerLostError } from "../../src/executors.ts";
import {
  CancelledError,
  createTask,
  moveOnAfter,
  run,
  runProcess,
  sleep,
} from "../../src/index.ts";
import { allGone, isAlive } from "../process/alive.ts";
import { rejection } from "../virtual.ts";
import { jobs, processes } from "./pools.ts";
import "./leftovers.ts";

describe("a pool of processes", () => {
  test(
    "runs jobs, calls back, streams and tells progress",
    processes(async (pool) => {
      const double = callback(async (n: number) => sleep(0.001, n * 2));
      const doubleSync = callback((n: number) => n * 2, { sync: true });
      const job = pool.submit(jobs.steps, 2);
      const steps: unknown[] = [];
      for await (const step of job.progress) steps.push(step);
      const items: number[] = [];
      try {
        for await (const n of pool.stream(jobs.failAt, 40)) items.push(n);
      } catch (error) {
        assert.equal((error as Error).message, "at 40");
      }

      assert.deepEqual([steps, await job], [[{ step: 1 }, { step: 2 }], "done"]);
      assert.equal(items.length, 40);
      assert.deepEqual(
        [
          await pool.run(jobs.same, { map: new Map([[1, new Uint8Array([1, 2])]]) }),
          await pool.run(jobs.ask, double),
          await pool.run(jobs.askSync, doubleSync),
        ],
        [{ map: new Map([[1, new Uint8Array([1, 2])]]) }, 41, 41],
      );
      assert.notEqual(await pool.run(jobs.pid), process.pid);
      assert.equal(pool.stats().workers[0]?.pid, await pool.run(jobs.pid));
    }),
  );

  test(
    "gives errors as threads do, and refuses what cannot be sent (9, 10)",
    processes(async (pool) => {
      const own = (await rejection(pool.run(jobs.fail))) as TypeError & { code?: string };
      const sent = await rejection(pool.run(jobs.same, { on: () => {} }));
      const result = await rejection(pool.run(jobs.unsendable));

      assert.ok(own instanceof TypeError);
      assert.equal(own.code, "E_OWN");
      assert.ok(sent instanceof NotSendableError && result instanceof NotSendableError);
      assert.deepEqual([sent.path, result.path], ["args[0].on", "result.items[1].close"]);
      assert.equal(await pool.run(jobs.add, 1, 2), 3);
    }),
  );

  test(
    "kills the process of a job that does not end, and interrupts one that may be kept (1)",
    processes(async (pool) => {
      const first = await pool.run(jobs.pid);
      const at = new Int32Array(4);
      const kept = jobs.backtrack.with({ stop: "keep", stopDelay: 0 });
      const replaced = jobs.spin.with({ stopDelay: 0 });

      const one = await moveOnAfter(0.1, () => pool.run(kept, at));
      assert.deepEqual([one.cancelled, await pool.run(jobs.pid)], [true, first]);
      const two = await moveOnAfter(0.1, () => pool.run(replaced, at));
      assert.deepEqual([two.cancelled, isAlive(first)], [true, false]);
      assert.notEqual(await pool.run(jobs.pid), first);
    }),
  );

  test(
    "loses one job with a process, and no other (5, 6, 7)",
    processes(
      async (pool) => {
        const other = createTask(() => pool.run(jobs.nap, 3600));
        const killed = await rejection(pool.run(jobs.kill, "SIGKILL"));
        const exited = await rejection(pool.run(jobs.exit, 3));

        assert.ok(killed instanceof WorkerLostError && exited instanceof WorkerLostError);
        assert.deepEqual([killed.signal, exited.exitCode], ["SIGKILL", 3]);
        assert.equal(other.done(), false);
        other.cancel();
        assert.ok((await rejection(other)) instanceof CancelledError);
        assert.equal(await pool.run(jobs.add, 1, 2), 3);
      },
      { maxWorkers: 2 },
    ),
  );

  test(
    "loses one job to a heap that is full (6)",
    processes(
      async (pool) => {
        const error = await rejection(pool.run(jobs.fillMemory));

        assert.ok(error instanceof WorkerLostError, String(error));
        assert.equal(await pool.run(jobs.add, 1, 2), 3);
      },
      { maxWorkers: 1, execArgv: ["--max-old-space-size=40"] },
    ),
  );

  test("dies with its parent, however that dies (15)", { timeout: 60_000 }, async () => {
    const program = fileURLToPath(new URL("./orphan.ts", import.meta.url));
    const parent = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    const child = await new Promise<number>((resolve) => {
      parent.stdout.setEncoding("utf8").once("data", (text) => resolve(Number(text)));
    });
    assert.ok(isAlive(child));
    parent.kill("SIGKILL");

    await allGone(child);
    assert.deepEqual(
      readdirSync("/proc").filter((name) => isChildOf(name, parent.pid)),
      [],
    );
  });

  test("leaves nothing after a second signal (15)", { timeout: 60_000 }, async () => {
    const program = fileURLToPath(new URL("./orphan.ts", import.meta.url));
    const parent = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "ignore"] });
    const closed = once(parent, "close"); // when nobody has its output any more
    const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
    const child = Number((await lines.next()).value);
    parent.kill("SIGINT");
    assert.equal((await lines.next()).value, "asked to end");
    assert.ok(isAlive(child));
    parent.kill("SIGTERM"); // a second Ctrl-C within half a second would count as the first

    await closed;
    await allGone(child);
  });
});

test("a pool that cannot have the files for a worker says so", async () => {
  const program = fileURLToPath(new URL("./few-descriptors.ts", import.meta.url));
  const limited = 'ulimit -n 60 && exec "$0" "$1"';
  const { stdout } = await run(() =>
    runProcess("sh", ["-c", limited, process.execPath, program], { seconds: 60 }),
  );

  assert.match(stdout, /^threads-1 has lost 5 workers.* EMFILE 3\nprocesses-\d .* EMFILE 3\n$/);
});

function isChildOf(name: string, pid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${name}/stat`, "utf8").includes(`) S ${pid} `);
  } catch {
    return false;
  }
}
