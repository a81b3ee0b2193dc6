// D52: whatever takes an async function takes one that is not, on every loop. What it returns is
// awaited, and what it throws in the call is its failure.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as asyncio from "../src/index.ts";
import * as patterns from "../src/patterns.ts";
import * as testing from "../src/testing.ts";
import { onBothLoops } from "./both-loops.ts";

type Body = () => number | PromiseLike<number>;

/** Each gives what `body` does. */
const takers: Record<string, (body: Body) => PromiseLike<unknown>> = {
  createTask: (body) => asyncio.createTask(body),
  "createTask, eagerly": (body) => asyncio.createTask(body, { eagerStart: true }),
  "group.createTask": (body) => inGroup((group) => group.createTask(body)),
  "group.createTask, held": (body) =>
    inGroup((group) => group.createTask(body), { limit: 1, name: "held" }),
  "group.start": (body) =>
    inGroup(async (group) => {
      let value: unknown;
      await group.start<void>((started) => {
        const result = body();
        started();
        return Promise.resolve(result).then((given) => {
          value = given;
        });
      });
      await asyncio.sleep(0.001);
      return value;
    }),
  taskGroup: (body) => asyncio.taskGroup(body).catch(unpack),
  timeout: (body) => asyncio.timeout(1, body),
  "timeout under a signal": (body) => asyncio.timeout(1, body, { signal: never }),
  timeoutAt: (body) => asyncio.timeoutAt(null, body),
  moveOnAfter: async (body) => {
    const moved = await asyncio.moveOnAfter(1, body);
    return moved.cancelled ? undefined : moved.value;
  },
  cleanup: (body) => asyncio.cleanup(1, body),
  "CancelScope.run": (body) => new asyncio.CancelScope().run(body),
  gather: async (body) => (await asyncio.gather(body))[0],
  race: (body) => asyncio.race(body),
  staggeredRace: async (body) => (await asyncio.staggeredRace([body], null).catch(unpack))[0],
  waitFor: (body) => asyncio.waitFor(body, 1),
  shield: (body) => asyncio.shield(body),
  asCompleted: async (body) => {
    const first = await asyncio.asCompleted([body]).next();
    return await first.value;
  },
  mapConcurrent: async (body) =>
    (await asyncio.mapConcurrent([0], body, { limit: 1 }).toArray())[0],
  requestScope: (body) => asyncio.requestScope(never, body),
  run: (body) => asyncio.run(body, { loop: new testing.VirtualLoop() }),
  "runner.run": async (body) => {
    await using runner = new asyncio.Runner({ loop: new testing.VirtualLoop() });
    return await runner.run(body);
  },
  "lock.run": (body) => new asyncio.Lock().run(body),
  "semaphore.run": (body) => new asyncio.Semaphore().run(body),
  "condition.run": (body) => new asyncio.Condition().run(body),
  "resource.use": (body) => patterns.resource(noop, noop).use(body),
  resources: (body) => patterns.resources(body),
  withDeadlineOf: (body) => patterns.withDeadlineOf({}, body),
  singleFlight: (body) => patterns.singleFlight(body)(),
  "shared.run": async (body) => {
    await using shared = new patterns.Shared(patterns.resource(noop, noop));
    return await shared.run(body);
  },
  "pool.run": async (body) => {
    await using pool = new patterns.Pool(patterns.resource(noop, noop), { max: 1 });
    return await pool.run(body);
  },
  "sequencer.run": (body) => new testing.Sequencer().run(0, body),
  "host.run": (body) => new testing.SimulatedNetwork().host("name").run(body),
};

const noop = (): void => {};
const never = new AbortController().signal;

suite("a function that is not async is as good as one that is", () => {
  for (const [name, take] of Object.entries(takers)) {
    onBothLoops(name, async () => {
      const failure = new Error("in the call");
      const fail = (): never => {
        throw failure;
      };

      assert.equal(await take(() => 5), 5);
      assert.equal(await take(() => asyncio.sleep(0.001, 6)), 6);
      const found = await Promise.resolve(take(fail)).then(
        () => assert.fail("it has failed"),
        (error: unknown) => error,
      );
      assert.equal(found, failure);
    });
  }

  test("as a test, an exploration, a sweep", async () => {
    assert.equal(await testing.runTest(() => 5), 5);
    assert.ok((await testing.explore(() => {})).schedules > 0);
    assert.ok((await testing.cancelSweep(() => {})).complete);
    assert.ok((await testing.faultSweep(() => 5)).complete);
    await testing.explored((_t, item: number) => assert.equal(item, 5))(5);
    await assert.rejects(
      testing.explore(() => assert.fail("in the call")),
      testing.ScheduleError,
    );
  });

  test("as a handler of a server, whose failure is reported", async () => {
    const network = new testing.SimulatedNetwork();
    const loop = new testing.VirtualLoop();
    const reports: unknown[] = [];
    loop.setExceptionHandler((_loop, { exception }) => reports.push(exception));
    const failure = new Error("in the call");
    let calls = 0;

    await asyncio.run(
      () =>
        network.host("server").run(async () => {
          const handle = (_reader: asyncio.StreamReader, writer: asyncio.StreamWriter): void => {
            writer.write("hello\n");
            if (++calls === 2) throw failure;
          };
          const server = await asyncio.startServer(handle, { port: 80 });
          const greet = async (): Promise<unknown> => {
            await using connection = await asyncio.openConnection("server", 80, {
              resolver: () => ["server"],
            });
            return await connection.reader.readLine({ encoding: "utf-8" });
          };
          assert.deepEqual([await greet(), await greet()], ["hello", "hello"]);
          await server.shutdown(1);
        }),
      { loop },
    );

    assert.deepEqual(reports, [failure]);
  });

  test("work that cannot be cancelled is none: `cancellable` and `joined` ask for a promise", async () => {
    const refused = { message: /`start` to return a promise, got undefined/ };

    await assert.rejects(
      asyncio.cancellable(() => undefined as never),
      refused,
    );
    await assert.rejects(
      asyncio.joined(() => undefined as never, { grace: 1 }),
      refused,
    );
  });
});

async function inGroup(
  use: (group: asyncio.TaskGroup) => PromiseLike<unknown>,
  options?: asyncio.TaskGroupOptions,
): Promise<unknown> {
  return await asyncio
    .taskGroup(async (group) => await use(group as asyncio.TaskGroup), options)
    .catch(unpack);
}

/** The only failure of a group. */
function unpack(error: unknown): never {
  if (error instanceof asyncio.ExceptionGroup) throw error.errors[0];
  throw error;
}
