// asyncio-ts/testing on every runtime: the same seeds have to give the same schedules everywhere,
// byte by byte.

import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { check, equal, failureOf, summarise } from "./harness/checks.mjs";

/** FNV-1a of a text, in hexadecimal. */
function digest(text) {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return (hash >>> 0).toString(16);
}

/** Uses most of the library, and tells `log` of everything that happens. */
async function program(t, log) {
  const queue = new asyncio.Queue(2, { name: "work" });
  const lock = new asyncio.Lock({ name: "log" });
  const event = new asyncio.Event();
  const note = (text) => log.push(`${t.now} ${asyncio.currentTask()?.getName()} ${text}`);
  const producer = async () => {
    for (const item of [1, 2, 3, 4]) {
      await queue.put(item);
      note(`put ${item}`);
      await asyncio.sleep(t.random());
    }
    event.set();
  };
  const consumer = async () => {
    for (;;) {
      const item = await asyncio.moveOnAfter(1.5, () => queue.get());
      if (item.cancelled) return note("gave up");
      await lock.run(() => asyncio.sleep(0));
      note(`got ${item.value}`);
    }
  };
  await asyncio.taskGroup(async (group) => {
    group.createTask(producer, { name: "producer" });
    group.createTask(consumer, { name: "a" });
    group.createTask(consumer, { name: "b" });
    await event.wait();
    note("all are put");
    // An `await`, since JavaScriptCore leaves no frame, and so no place in a report, of a call in
    // tail position.
    const run = (name) => async () => await asyncio.sleep(t.random(), name);
    const winner = await asyncio.race(run("first"), run("second"));
    note(`${JSON.stringify(winner)} has won`);
    await asyncio.timeout(5, () => asyncio.gather(asyncio.sleep(1), asyncio.sleep(2)));
    note(`choice ${t.choose(3)}`);
  });
}

await check("the same seed gives the same trace, on every runtime", async () => {
  const traceOf = async (seed) => {
    const log = [];
    await testing.runTest((t) => program(t, log), { seed });
    return log.join("\n");
  };
  const traces = [];
  for (let seed = 0; seed < 200; seed++) traces.push(await traceOf(seed));
  for (let seed = 0; seed < 200; seed++) equal(await traceOf(seed), traces[seed]);
  equal(digest(traces.join("\n\n")), "2d98576b");
});

/** Loses a deposit under some schedules. */
async function bank() {
  let balance = 0;
  const lock = new asyncio.Lock();
  const deposit = async (amount) => {
    const before = balance;
    await lock.run(() => asyncio.sleep(0));
    balance = before + amount;
  };
  const first = asyncio.createTask(() => deposit(1), { name: "first" });
  await asyncio.sleep(1);
  await first;
  await asyncio.taskGroup(async (group) => {
    group.createTask(() => deposit(2), { name: "second" });
    for (let turn = 0; turn < 6; turn++) await asyncio.sleep(0);
    group.createTask(() => deposit(3), { name: "third" });
  });
  if (balance !== 6) throw new Error(`the balance is ${balance}`);
}

await check("exploring finds the same failure in the same schedule, and replays it", async () => {
  const error = await failureOf(testing.explore(bank));
  equal([error.code, error.cause.message], ["ERR_ASYNCIO_SCHEDULE", "the balance is 4"]);
  // Behind the prefix, the mode and the hash of the source text: Bun shows its own version of that.
  const deviations = error.replay.slice("aio1:AAAA".length);
  equal([error.strategy, error.schedule, error.deviations], ["pct", 2, 6]);
  equal(deviations, "AwEChaEAAQKFoQABAoWhAAEChaEAAQKFoQABAtIn");
  const again = await failureOf(testing.explore(bank, { replay: error.replay }));
  equal([again.replay, again.table], [error.replay, error.table]);
});

await check("each strategy draws the same schedules everywhere", async () => {
  const strategies = ["random", "sticky", "pct", "partial-order", "dfs"];
  const logs = [];
  const body = async (t) => {
    const log = [];
    await program(t, log);
    logs.push(log.join("\n"));
  };
  for (const strategy of strategies) await testing.explore(body, { strategy, iterations: 50 });
  equal(digest(logs.join("\n\n")), "533b528e");
});

/** What a report tells, but for the hash of the source text: Bun shows its own version of that. */
function reportOf({ message, replay, schedule, strategy, table }) {
  const deviations = replay.slice("aio1:AAAA".length);
  return [message.replace(/aio1:\S+/, deviations), schedule, strategy, table].join("\n");
}

await check("whole reports are the same everywhere: steps, waits, places, values", async () => {
  const reports = [];
  const body = async (t) => {
    const log = [];
    await program(t, log);
    if (log.join().includes("a got 4")) throw new Error(log.join("\n"));
  };
  for (const strategy of ["random", "sticky", "pct", "partial-order", "dfs"]) {
    for (let seed = 0; seed < 4; seed++) {
      const options = { strategy, seed, untilSaturated: false };
      reports.push(reportOf(await failureOf(testing.explore(body, options))));
    }
  }
  reports.push(reportOf(await failureOf(testing.explore(bank))));
  const cancelled = testing.cancelSweep(bank, { invariant: () => Promise.reject(new Error("no")) });
  reports.push(reportOf(await failureOf(cancelled)));
  // Where words or schedules have changed on purpose, the new digest is that of Node 24; the others
  // have to agree.
  equal(digest(reports.join("\n\n")), "ee17192f");
});

await check("a sweep names what a cancellation leaves behind", async () => {
  const sweep = testing.cancelSweep(async () => {
    const lock = new asyncio.Lock({ name: "db" });
    await lock.acquire();
    await asyncio.sleep(1);
    lock.release();
  });
  const error = await failureOf(sweep);
  equal(error.cause.leftovers, ['Lock "db", held by task "main"']);
});

await check("a bare promise that nobody settles is a deadlock", async () => {
  // Bun cannot tell whether something outside is under way: there "hold" would wait for the
  // watchdog.
  const error = await failureOf(testing.runTest(() => new Promise(() => {}), { foreign: "error" }));
  equal(error.code, "ERR_ASYNCIO_DEADLOCK");
});

await check("a foreign await that takes its time is no deadlock, and holds the clock", async () => {
  const { readFile } = await import("node:fs/promises");
  await testing.runTest(async (t) => {
    const { length } = await readFile(new URL(import.meta.url));
    equal(length > 1000, true);
    await new Promise((resolve) => setTimeout(resolve, 60));
    equal(t.now, 0);
  });
});

await check("a bubble makes the host's timers and clocks virtual", async () => {
  await testing.runTest(
    async (t) => {
      const start = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      equal([Date.now() - start, performance.now(), t.now], [60_000, 60_000, 60]);
    },
    { bubble: true },
  );
});

summarise();
