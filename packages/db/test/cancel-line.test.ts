import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Database } from "../src/database.ts";
import type { Driver, DriverConnection } from "../src/driver.ts";
import { sql } from "../src/index.ts";
import type { CancelWire } from "../src/postgres/cancel.ts";
import { CancelLine, type Repeater } from "../src/postgres/cancel-line.ts";
import { connect } from "../src/postgres.ts";
import { FakeServer, startProxy } from "../src/testing.ts";
import { describePostgres, WAYS } from "./postgres.ts";

const SCHEDULES = Number(process.env.ASYNCIO_DB_SCHEDULES ?? 100);

/** The loop's own clock: virtual in a test. */
function repeater(): Repeater {
  const loop = asyncio.getRunningLoop();
  return {
    now: () => loop.time(),
    every: (seconds, callback) => {
      let handle = loop.callLater(seconds, again);
      function again(): void {
        handle = loop.callLater(seconds, again);
        callback();
      }
      return () => handle.cancel();
    },
  };
}

/** A connection to nobody: the test says what comes of it. */
class ScriptedWire implements CancelWire {
  isOpen = true;
  readonly sent: number[] = [];
  readonly ended: Promise<void>;
  #end: () => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  send(processId: number): void {
    this.sent.push(processId);
  }

  /** The server closes it. */
  close(): void {
    this.isOpen = false;
    this.#end();
  }

  destroy(): void {
    this.close();
  }
}

/** A line with one session; and all connections that it has opened. */
function lineOfOne() {
  const wires: ScriptedWire[] = [];
  const line = new CancelLine(() => {
    const wire = new ScriptedWire();
    wires.push(wire);
    return wire;
  }, repeater());
  const session = { running: 0 };
  let requests = 0;
  const begin = (): void => {
    session.running = ++requests;
    line.begun();
  };
  line.watch(session);
  return {
    line,
    wires,
    session,
    begin,
    open: () => wires.filter(({ isOpen }) => isOpen).length,
    [Symbol.dispose]: () => line.unwatch(session),
  };
}

describe("the connection that stands by for a cancel", () => {
  test("is opened for a statement that runs for long, and not for many short ones", () =>
    testing.runTest(async () => {
      using one = lineOfOne();
      const { begin, open } = one;
      for (let n = 0; n < 100; n++) {
        begin();
        await asyncio.sleep(0.011);
      }
      assert.equal(open(), 0);
      await asyncio.sleep(0.04);
      assert.equal(open(), 1);
    }));

  test("brings the request in the call, and another one follows if something still runs", () =>
    testing.runTest(async () => {
      using one = lineOfOne();
      const { line, wires, begin } = one;
      begin();
      await asyncio.sleep(0.05);
      const request = line.send(7, 1);
      assert.deepEqual(wires[0]?.sent, [7]);
      wires[0]?.close();
      await request.ended;
      await asyncio.sleep(0.02);
      assert.deepEqual([wires.length, wires[1]?.sent], [2, []]);
    }));

  test("is closed a second after the last statement that ran for long; then nobody looks", () =>
    testing.runTest(async () => {
      const { wires, session, begin, open } = lineOfOne();
      begin();
      await asyncio.sleep(0.05);
      session.running = 0;
      await asyncio.sleep(0.9);
      assert.equal(open(), 1);
      await asyncio.sleep(0.2);
      assert.deepEqual([open(), wires.length], [0, 1]); // and no timer is left
    }));

  test("is a new one every half minute", () =>
    testing.runTest(async () => {
      using one = lineOfOne();
      const { wires, begin, open } = one;
      begin();
      await asyncio.sleep(29);
      assert.deepEqual([open(), wires.length], [1, 1]);
      await asyncio.sleep(2);
      assert.deepEqual([open(), wires.length], [1, 2]);
    }));

  test("that the server closes is not opened again at once; a cancel gets a fresh one", () =>
    testing.runTest(async () => {
      using one = lineOfOne();
      const { line, wires, begin } = one;
      begin();
      await asyncio.sleep(0.05);
      wires[0]?.close();
      void line.send(7, 1);
      await asyncio.sleep(0);
      assert.deepEqual([wires.length, wires[1]?.sent], [2, [7]]);

      await asyncio.sleep(0.02); // what the cancel has taken is replaced
      wires[2]?.close();
      await asyncio.sleep(28);
      assert.equal(wires.length, 3);
      await asyncio.sleep(3);
      assert.equal(wires.length, 4);
    }));

  test("goes with the last session, in the call", () =>
    testing.runTest(async () => {
      const { line, session, begin, open } = lineOfOne();
      begin();
      await asyncio.sleep(0.05);
      line.unwatch(session);
      assert.equal(open(), 0); // and no timer is left
    }));
});

test("looks outside of the context of whoever began a statement, and so keeps nothing of it", async () => {
  const storage = new AsyncLocalStorage<string>();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const line = new CancelLine(() => {
    resolve(storage.getStore());
    return new ScriptedWire();
  });
  const session = { running: 1 };
  line.watch(session);
  const process = setTimeout(() => {}, 60_000); // the looks keep none
  storage.run("a request", () => line.begun());

  assert.equal(await promise, undefined);
  clearTimeout(process);
  line.unwatch(session);
});

test("at most eight cancel requests to one server are under way; the others follow", () =>
  testing.runTest(async () => {
    const { line, wires } = lineOfOne();
    const requests = Array.from({ length: 10 }, (_, n) => line.send(n, 1));
    requests[9]?.destroy();
    assert.equal(wires.length, 8);
    for (const wire of wires.slice(0, 2)) wire.close();
    await assert.rejects(async () => await requests[9]?.ended, /was lost before the cancel/);
    assert.deepEqual(wires[8]?.sent, [8]);
  }));

/** The fake server's own way of a cancel, behind a connection that takes a while to be made. */
class FakeWire implements CancelWire {
  isOpen = true;
  readonly ended: Promise<void>;
  readonly #sessions: Map<number, () => Promise<void>>;
  readonly #loop = asyncio.getRunningLoop();
  readonly #connectedAt: number = this.#loop.time() + 0.003;
  #settle: { resolve(): void; reject(error: unknown): void } | undefined = undefined;

  constructor(sessions: Map<number, () => Promise<void>>) {
    this.#sessions = sessions;
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.ended.catch(() => {});
    try {
      testing.fault("the server closes a connection for a cancel at once");
    } catch (error) {
      this.#over(error);
    }
  }

  send(session: number): void {
    const arrive = (): void => {
      if (!this.isOpen) return;
      const cancel = this.#sessions.get(session);
      if (cancel === undefined) this.#over(undefined);
      else
        cancel().then(
          () => this.#over(undefined),
          (error: unknown) => this.#over(error),
        );
    };
    this.#loop.callAt(Math.max(this.#connectedAt, this.#loop.time()), arrive);
  }

  destroy(): void {
    this.#over(new Error("it was given up"));
  }

  #over(error: unknown): void {
    this.isOpen = false;
    if (error === undefined) this.#settle?.resolve();
    else this.#settle?.reject(error);
  }
}

/** A fake server, whose cancels go through a line as those of PostgreSQL do. */
function withLine(): { server: FakeServer; driver: Driver; openWires(): number } {
  const server = new FakeServer();
  server.define("quick", () => [{ one: 1 }], 0.002);
  server.define("slow", () => [{ slept: true }], 10);
  const sessions = new Map<number, () => Promise<void>>();
  const wires: FakeWire[] = [];
  const dial = (): CancelWire => {
    const wire = new FakeWire(sessions);
    wires.push(wire);
    return wire;
  };
  let line: CancelLine | undefined;
  let count = 0;
  const connect = async (): Promise<DriverConnection> => {
    const connection = await server.driver.connect();
    line ??= new CancelLine(dial, repeater());
    return throughLine(connection, line, ++count, sessions);
  };
  const openWires = (): number => wires.filter(({ isOpen }) => isOpen).length;
  return { server, driver: { ...server.driver, connect }, openWires };
}

/** Does what `PgConnection` does with its line. */
function throughLine(
  connection: DriverConnection,
  line: CancelLine,
  number: number,
  sessions: Map<number, () => Promise<void>>,
): DriverConnection {
  const { run, cancel, close, destroy } = connection;
  const session = { running: 0 };
  let requests = 0;
  let request: { destroy(): void } | undefined;
  line.watch(session);
  sessions.set(number, () => cancel.call(connection));
  connection.run = (...[what, done, before]) => {
    session.running = ++requests;
    line.begun();
    const over: typeof done = (error, answers) => {
      session.running = 0;
      done(error, answers);
    };
    run.call(connection, what, over, before);
  };
  connection.cancel = () => {
    const sent = line.send(number, 0);
    request = sent;
    return sent.ended;
  };
  connection.close = () => {
    line.unwatch(session);
    return close.call(connection);
  };
  connection.destroy = (reason) => {
    line.unwatch(session);
    request?.destroy();
    destroy.call(connection, reason);
  };
  return connection;
}

type WithLine = ReturnType<typeof withLine>;

/** Cancels that come about when queries end, with a connection that stands by, or none. */
async function lateCancels({ driver }: WithLine, startsAt: number): Promise<void> {
  await using db = new Database(driver, { max: 2 });
  await asyncio.taskGroup(async (group) => {
    group.createTask(() => asyncio.moveOnAfter(0.06, () => db.query(sql`slow`)), { name: "slow" });
    group.createTask(
      async () => {
        await asyncio.sleep(startsAt);
        await asyncio.moveOnAfter(0.006, () => db.query(sql`quick`));
      },
      { name: "late" },
    );
    for (const name of ["ann", "bob"])
      group.createTask(
        async () => {
          await asyncio.sleep(startsAt);
          for (let n = 0; n < 4; n++) await db.query(sql`quick`);
        },
        { name },
      );
  });
}

const sound = ({ server, openWires }: WithLine): void => {
  assert.deepEqual(server.connections, { open: 0, inTransaction: 0 });
  assert.equal(openWires(), 0);
};

test("no schedule lets a cancel on it hit somebody else's query", async () => {
  await testing.explore(
    async (t) => {
      const fake = withLine();
      await lateCancels(fake, 0.03 + t.choose(8) * 0.005);
      sound(fake);
    },
    { iterations: SCHEDULES },
  );
});

test("whoever is cancelled anywhere, and whatever breaks: nothing is left, no one else is hit", async () => {
  const program = (_t: unknown, fake: WithLine): Promise<void> => lateCancels(fake, 0.05);
  const cancelled = await testing.cancelSweep(program, {
    setup: withLine,
    invariant: sound,
    victims: /ann|bob|slow/,
    mayReturn: true,
  });
  const failed = await testing.faultSweep((t, fake) => asyncio.timeout(5, () => program(t, fake)), {
    setup: withLine,
    invariant: sound,
  });
  assert.ok(cancelled.places > 10 && failed.places > 10);
});

// --- on a server

describePostgres(
  "a cancel on the connection that stands by",
  (bench) => {
    /**
     * Cancels a statement that has run for a while.
     * @param refuses - whether the server is out of reach for new connections by then
     * @returns how many connections were made before
     */
    const cancelled = async (options: { standby?: boolean; refuses: boolean }): Promise<number> => {
      const { refuses, ...rest } = options;
      await using proxy = await startProxy(bench.port);
      const url = bench.url(proxy.port);
      let made = 0;
      await bench.run(
        async (db) => {
          const before = await bench.connectionOf(db);
          await asyncio.moveOnAfter(0.4, () => {
            asyncio.getRunningLoop().callLater(0.3, () => {
              made = proxy.accepted;
              proxy.refuses = refuses;
            });
            return db.query(sql`select pg_sleep(20)`);
          });
          assert.deepEqual(await bench.connectionOf(db), before); // it was not cut off
        },
        { url, max: 1, ...rest },
      );
      return made;
    };

    test("goes out on it", bench.needsSession, async () => {
      assert.equal(await cancelled({ refuses: true }), 2);
    });

    test("is sent on a fresh one with `standby: false`, and through a pooler", async () => {
      const standby = bench.needsSession.skip !== false; // the pooler sees to it
      assert.equal(await cancelled({ refuses: false, standby }), 1);
    });
  },
  { ways: WAYS },
);

describePostgres(
  "a server that gives a client one second to say who it is",
  (bench) => {
    test("a cancel after that is sent on a fresh connection", () =>
      bench.run(async (db) => {
        const { cancelled } = await asyncio.moveOnAfter(1.5, () =>
          db.query(sql`select pg_sleep(20)`),
        );
        assert.equal(cancelled, true);
        assert.deepEqual(await db.query(sql`select 1 as one`), [{ one: 1 }]);
      }));
  },
  { settings: { authentication_timeout: "1s" } },
);

test("`standby` is true or false", () =>
  asyncio.run(async () => {
    await assert.rejects(
      connect("postgres://nobody@127.0.0.1:1/none", { standby: 1 as unknown as boolean }),
      /`connect` expects `standby` to be true or false, got 1/,
    );
  }));
