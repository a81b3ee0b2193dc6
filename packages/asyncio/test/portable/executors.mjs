// Threads and processes under every runtime: what they run, and what is left of a job that was
// cancelled.

import * as asyncio from "asyncio-ts";
import { callback, module, ProcessPoolExecutor, ThreadPoolExecutor } from "asyncio-ts/executors";

const jobs = module(new URL("../fixtures/portable-jobs.mjs", import.meta.url));
const isNode = !("Deno" in globalThis) && process.versions.bun === undefined;

let passed = 0;
let failed = 0;

/** A test with a pool of its own. */
async function check(name, Pool, body) {
  try {
    await asyncio.run(async () => {
      const pool = new Pool({ maxWorkers: 1 });
      await body(pool);
      await pool.shutdown();
    });
    passed++;
    console.log(`ok - ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok - ${name}: ${error?.stack ?? error}`);
  }
}

function equal(found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`expected ${b}, found ${a}`);
}

async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

const pools = { threads: ThreadPoolExecutor, processes: ProcessPoolExecutor };
for (const [kind, Pool] of Object.entries(pools)) {
  await check(`${kind} run jobs, and give their errors`, Pool, async (pool) => {
    equal(await pool.run(jobs.add, 1, 2), 3);
    equal(await pool.run(jobs.same, { list: [1, "two"] }), { list: [1, "two"] });
    equal(await Promise.all(Array.from({ length: 100 }, (_, n) => pool.run(jobs.add, n, 1))), [
      ...Array.from({ length: 100 }, (_, n) => n + 1),
    ]);
    const error = await failureOf(pool.run(jobs.fail));
    equal([error instanceof RangeError, error.message, error.code], [true, "far", "E_FAR"]);
  });

  await check(`${kind} tell their progress, stream, and call back`, Pool, async (pool) => {
    const job = pool.submit(jobs.steps, 3);
    const steps = [];
    for await (const step of job.progress) steps.push(step);
    equal([steps, await job], [[0, 1, 2], "done"]);
    let sum = 0;
    for await (const n of pool.stream(jobs.numbers, 40)) sum += n;
    equal(sum, 780);
    const double = async (n) => asyncio.sleep(0.001, n * 2);
    equal(await pool.run(jobs.ask, callback(double)), 41);
    equal(await pool.run(jobs.askSync, callback(double, { sync: true })), 41);
  });

  await check(`${kind} end a job that waits, or checks`, Pool, async (pool) => {
    equal(await pool.run(jobs.add, 1, 2), 3);
    for (const job of [jobs.nap, jobs.spinChecked]) {
      const patient = job.with({ stopDelay: 30 });
      const moved = await asyncio.moveOnAfter(0.1, () => pool.run(patient, 3600));
      equal(moved.cancelled, true);
    }
    equal([await pool.run(jobs.add, 1, 2), pool.stats().replaced], [3, 0]);
  });

  await check(`${kind} replace the worker of a job that exits`, Pool, async (pool) => {
    equal(await pool.run(jobs.add, 1, 2), 3);
    const error = await failureOf(pool.run(jobs.exit, 3));
    equal(
      [error.name, error.mayHaveRun, await pool.run(jobs.add, 2, 2)],
      ["WorkerLostError", true, 4],
    );
  });

  await check(`${kind} refuse what cannot be sent, and say what it was`, Pool, async (pool) => {
    const error = await failureOf(pool.run(jobs.same, { on: [() => {}] }));
    equal(
      [error.name, error.path, await pool.run(jobs.add, 2, 2)],
      ["NotSendableError", "args[0].on[0]", 4],
    );
  });

  // Threads can be stopped on Node only.
  if (kind === "processes" || isNode)
    await check(`${kind} stop a job that does not end`, Pool, async (pool) => {
      equal(await pool.run(jobs.add, 1, 2), 3);
      for (const stop of ["keep", "keep", "replace", "keep"]) {
        const endless = jobs.spin.with({ stop, stopDelay: 0 });
        const moved = await asyncio.moveOnAfter(0.1, () => pool.run(endless));
        equal([moved.cancelled, await pool.run(jobs.add, 1, 2)], [true, 3]);
      }
    });
}

console.log(`# ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
