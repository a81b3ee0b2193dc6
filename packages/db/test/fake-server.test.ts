import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Database } from "../src/database.ts";
import type { Driver } from "../src/driver.ts";
import {
  CommitUnknownError,
  PoolTimeoutError,
  SerializationError,
  sql,
  type Transaction,
  TransactionDoomedError,
} from "../src/index.ts";
import { FakeServer } from "../src/testing.ts";

const SCHEDULES = Number(process.env.ASYNCIO_DB_SCHEDULES ?? 100);

/** Two accounts, and what a bank does with them. */
function bank(): FakeServer {
  const server = new FakeServer();
  server.fill("accounts", "id", [
    { id: 1, balance: 100 },
    { id: 2, balance: 0 },
  ]);
  server.define("select balance from accounts where id = $1", (view, [id]) => {
    const row = view.get("accounts", id);
    return row === undefined ? [] : [row];
  });
  server.define("select balance from accounts where id = $1 for update", (view, [id]) => {
    const row = view.lock("accounts", id);
    return row === undefined ? [] : [row];
  });
  server.define("update accounts set balance = $1 where id = $2", (view, [balance, id]) => {
    view.set("accounts", id, { id, balance });
    return 1;
  });
  server.define("update accounts set balance = balance + $1 where id = $2", (view, [sum, id]) => {
    const balance = (view.lock("accounts", id)?.balance as number) + (sum as number);
    view.set("accounts", id, { id, balance });
    return 1;
  });
  server.define("insert into log values ($1)", (view, [id]) => {
    view.set("log", id, { id });
    return 1;
  });
  server.define("slow", () => [{ slept: true }], 10);
  server.define("wrong", () => {
    throw new TypeError("a mistake in the test");
  });
  return server;
}

const balanceOf = (server: FakeServer, id: number): unknown =>
  server.rows("accounts").find((row) => row.id === id)?.balance;
const total = (server: FakeServer): number =>
  server.rows("accounts").reduce((sum, { balance }) => sum + (balance as number), 0);
const sound = (server: FakeServer): void => {
  assert.deepEqual(server.connections, { open: 0, inTransaction: 0 });
};

/** Reads, thinks, writes: right only if nobody else writes meanwhile. */
async function withdraw(tx: Transaction, sum: number): Promise<boolean> {
  const { balance } = await tx.one<{ balance: number }>(
    sql`select balance from accounts where id = ${1}`,
  );
  if (balance < sum) return false;
  await tx.execute(sql`update accounts set balance = ${balance - sum} where id = ${1}`);
  return true;
}

async function twoWithdrawals(
  db: Database,
  options: { isolation?: "serializable" | "repeatable read"; retries?: number },
): Promise<number> {
  let paid = 0;
  await asyncio.taskGroup(async (group) => {
    for (const name of ["ann", "bob"])
      group.createTask(
        async () => {
          if (await db.transaction((tx) => withdraw(tx, 80), { name, ...options })) paid += 80;
        },
        { name },
      );
  });
  return paid;
}

test("explore finds the double spend of read committed", async () => {
  const explored = testing.explore(async () => {
    const server = bank();
    await using db = server.database({ max: 2 });
    const paid = await twoWithdrawals(db, {});
    assert.ok(paid <= 100, `${paid} of 100 were paid out`);
  });

  const error = await explored.catch((error) => error);

  assert.ok(error instanceof testing.ScheduleError);
  assert.match(String(error.cause ?? error.message), /160 of 100 were paid out/);
});

for (const isolation of ["repeatable read", "serializable"] as const)
  test(`with ${isolation} and retries no schedule spends twice`, async () => {
    await testing.explore(
      async () => {
        const server = bank();
        {
          await using db = server.database({ max: 2 });
          assert.equal(await twoWithdrawals(db, { isolation, retries: 3 }), 80);
        }
        assert.equal(balanceOf(server, 1), 20);
        sound(server);
      },
      { iterations: SCHEDULES },
    );
  });

test("without retries one of the two gets a SerializationError", async () => {
  await testing.runTest(async () => {
    const server = bank();
    await using db = server.database({ max: 2 });
    const error = await twoWithdrawals(db, { isolation: "repeatable read" }).catch(
      (error) => error,
    );
    assert.ok(error instanceof asyncio.ExceptionGroup);
    assert.ok(error.errors[0] instanceof SerializationError);
  });
});

test("transfers in both directions end, deadlocks included, and nothing is lost", async () => {
  await testing.explore(
    async () => {
      const server = bank();
      {
        await using db = server.database({ max: 3 });
        const transfer = (from: number, to: number) => () =>
          db.transaction(
            async (tx) => {
              await tx.execute(
                sql`update accounts set balance = balance + ${-10} where id = ${from}`,
              );
              await tx.execute(sql`update accounts set balance = balance + ${10} where id = ${to}`);
            },
            { retries: 10 },
          );
        await asyncio.taskGroup(async (group) => {
          group.createTask(transfer(1, 2));
          group.createTask(transfer(2, 1));
          group.createTask(transfer(1, 2));
        });
      }
      assert.deepEqual([total(server), balanceOf(server, 1)], [100, 90]);
      sound(server);
    },
    { iterations: SCHEDULES },
  );
});

/** What a caller was told must be what is found. */
async function tellTruth(server: FakeServer, db: Database, id: number): Promise<void> {
  let told: "yes" | "no" | "unknown" = "no";
  try {
    await db.transaction(async (tx) => {
      await tx.execute(sql`insert into log values (${id})`);
      await tx.execute(sql`update accounts set balance = balance + ${1} where id = ${2}`);
    });
    told = "yes";
  } catch (error) {
    if (error instanceof CommitUnknownError) told = "unknown";
    throw error;
  } finally {
    const isThere = server.rows("log").some((row) => row.id === id);
    if (told !== "unknown") assert.equal(isThere, told === "yes", `told ${told}`);
  }
}

test("a transaction that is cancelled anywhere tells the truth, and leaves nothing", async () => {
  const sweep = await testing.cancelSweep(
    async (_t, server) => {
      await using db = server.database({ max: 1 });
      await tellTruth(server, db, 1);
    },
    { setup: bank, invariant: sound, schedules: 2 },
  );
  assert.ok(sweep.places > 20, String(sweep.places));
});

test("so do those of two tasks that want one connection, whichever is cancelled", async () => {
  await testing.cancelSweep(
    async (_t, server) => {
      await using db = server.database({ max: 1 });
      await asyncio.taskGroup(async (group) => {
        group.createTask(() => tellTruth(server, db, 1), { name: "ann" });
        group.createTask(() => tellTruth(server, db, 2), { name: "bob" });
      });
    },
    { setup: bank, invariant: sound, victims: /ann|bob/, mayReturn: true },
  );
});

test("a transaction whose connection breaks anywhere, or whose deadline strikes, tells the truth", async () => {
  const sweep = await testing.faultSweep(
    async (_t, server) => {
      await using db = server.database({ max: 1, acquire: 5, grace: 1 });
      await asyncio
        .timeout(3, () => tellTruth(server, db, 1))
        .catch((error) => {
          if (!(error instanceof CommitUnknownError)) throw error;
          throw new asyncio.TimeoutError("nobody knows", { cause: error }); // the truth, too
        });
    },
    { setup: bank, invariant: sound },
  );
  assert.ok(sweep.places > 20, String(sweep.places));
});

test("a savepoint that is cancelled anywhere is undone alone", async () => {
  await testing.cancelSweep(
    async (_t, server) => {
      await using db = server.database({ max: 1 });
      await db.transaction(async (tx) => {
        await tx.execute(sql`insert into log values (${1})`);
        await asyncio.moveOnAfter(0.0025, () =>
          tx.savepoint(async (sp) => {
            await sp.execute(sql`insert into log values (${2})`);
            await sp.query(sql`slow`);
          }),
        );
        await tx.execute(sql`insert into log values (${3})`);
      });
    },
    {
      setup: bank,
      invariant: (server) => {
        sound(server);
        const ids = server.rows("log").map(({ id }) => id);
        assert.ok(ids.length === 0 || String(ids) === "1,3", String(ids));
      },
    },
  );
});

const innocents = async (server: FakeServer, driver: Driver): Promise<void> => {
  server.define("quick", () => [{ one: 1 }], 0.002);
  await using db = new Database(driver, { max: 1 });
  await asyncio.taskGroup(async (group) => {
    group.createTask(() => asyncio.moveOnAfter(0.006, () => db.query(sql`quick`)), {
      name: "late",
    });
    group.createTask(() => db.query(sql`quick`), { name: "innocent" });
  });
};

test("no schedule lets a cancel hit somebody else's query", async () => {
  await testing.explore(
    async (t) => {
      const server = bank();
      await asyncio.sleep(t.choose(8) * 0.0005);
      await innocents(server, server.driver);
    },
    { iterations: SCHEDULES },
  );
});

test("with cancel requests that nobody waits for, explore finds one that does", async () => {
  const explored = testing.explore(
    async () => {
      const server = bank();
      const careless: Driver = {
        ...server.driver,
        connect: async () => {
          const connection = await server.driver.connect();
          const { cancel } = connection;
          connection.cancel = () => {
            void cancel.call(connection);
            return Promise.resolve();
          };
          return connection;
        },
      };
      await innocents(server, careless);
    },
    { iterations: 2000 },
  );
  await assert.rejects(explored, (error) => {
    assert.ok(error instanceof testing.ScheduleError);
    assert.match(String(error.cause ?? error), /canceling statement/);
    return true;
  });
});

test("a body that dooms its transaction is told by which query", async () => {
  await testing.runTest(async () => {
    const server = bank();
    await using db = server.database();
    const error = await db
      .transaction(async (tx) => {
        await asyncio.moveOnAfter(1, () => tx.query(sql`slow`, { name: "slow" }));
        await tx.query(sql`select balance from accounts where id = ${1}`);
      })
      .catch((error) => error);
    assert.ok(error instanceof TransactionDoomedError);
    assert.match(error.message, /query "slow" in it was cancelled/);
    assert.deepEqual(server.connections, { open: 1, inTransaction: 0 });
  });
});

test("a COMMIT that the server answers with ROLLBACK is an error", async () => {
  await testing.runTest(async () => {
    const server = bank();
    const connect = async () => {
      const connection = await server.driver.connect();
      const { run } = connection;
      connection.run = (request, done, ...before) =>
        run.call(
          connection,
          request,
          (error, answers) =>
            done(
              error,
              answers.map((one) => ({
                ...one,
                command: one.command.replace("COMMIT", "ROLLBACK"),
              })),
            ),
          ...before,
        );
      return connection;
    };
    await using db = new Database({ ...server.driver, connect }, {});
    const error = await db
      .transaction((tx) => tx.execute(sql`insert into log values (${1})`), { name: "pay" })
      .catch((error) => error);
    assert.match(
      error.message,
      /the server has rolled back transaction "pay" instead of committing/,
    );
  });
});

test("a server that is deaf to cancels has `grace`; then the connection is cut off and replaced", async () => {
  await testing.runTest(async (t) => {
    const server = bank();
    const connect = async () => {
      const connection = await server.driver.connect();
      connection.cancel = () => new Promise<void>(() => {});
      return connection;
    };
    await using db = new Database({ ...server.driver, connect }, { max: 1, grace: 2 });
    await db.check();
    const startedAt = t.now;
    const error = await asyncio.timeout(1, () => db.query(sql`slow`)).catch((error) => error);
    const seconds = t.now - startedAt;
    assert.ok(error instanceof asyncio.TimeoutError);
    const cancelled = error.cause as Error;
    assert.match(String(cancelled.cause), /has not ended query "slow" within 2 s/);
    assert.ok(seconds >= 3 && seconds < 3.1, String(seconds));
    await db.check();
    assert.equal(server.connections.open, 1);
  });
});

test("a server that goes down and comes back: one attempt at a time, and all are served", async () => {
  await testing.explore(
    async () => {
      const server = bank();
      let attempts = 0;
      const driver: Driver = {
        ...server.driver,
        connect: async () => {
          attempts++;
          return await server.driver.connect();
        },
      };
      await using db = new Database(driver, { max: 5, acquire: 60 });
      await db.check();
      server.isDown = true;
      const outcomes = asyncio.gather(
        Array.from({ length: 8 }, (_, n) => async () => {
          await asyncio.sleep(n * 0.5);
          return await db.query(sql`select 1`).then(
            () => "served",
            (error) => (error as { code: string }).code,
          );
        }),
      );
      await asyncio.sleep(2.2);
      server.isDown = false;
      const told = await outcomes;
      assert.equal(told.at(-1), "served");
      assert.ok(attempts < 20, `${attempts} attempts`);
    },
    { iterations: 50 },
  );
});

test("who waits in line for too long is told who holds the connections", async () => {
  await testing.runTest(async () => {
    await using db = bank().database({ max: 1, acquire: 2, name: "bank" });
    const slow = asyncio.createTask(() => db.query(sql`slow`), { name: "report" });
    await asyncio.sleep(0);
    const error = await db.query(sql`slow`).catch((error) => error);
    assert.ok(error instanceof PoolTimeoutError);
    assert.match(error.message, /"bank" came free within 2 s.*task "report" \(for 2.0 s\)/);
    await slow;
  });
});

test("transactions that each want one more: all schedules end in a DeadlockError for one", async () => {
  await testing.explore(
    async () => {
      const server = bank();
      await using db = server.database({ max: 2 });
      const greedy = () =>
        db.transaction(async (tx) => {
          await tx.query(sql`select balance from accounts where id = ${1}`);
          await db.query(sql`select balance from accounts where id = ${1}`);
        });
      const outcomes = await asyncio.gather([greedy, greedy], { returnExceptions: true });
      const failed = outcomes.filter((outcome) => outcome instanceof Error);
      assert.ok(failed.every((error) => error instanceof asyncio.DeadlockError));
      assert.ok(failed.length <= 1);
    },
    { iterations: SCHEDULES },
  );
});

test("a listener hears all that is notified while it is connected, and one gap a loss", async () => {
  await testing.explore(
    async () => {
      const server = bank();
      await using db = server.database();
      const heard: string[] = [];
      const task = asyncio.createTask(async () => {
        for await (const event of db.listen("jobs")) {
          heard.push(event.kind === "gap" ? "gap" : event.payload);
          if (heard.at(-1) === "c") break;
        }
      });
      await asyncio.sleep(1);
      server.notify("jobs", "a");
      server.notify("jobs", "b");
      server.terminate();
      await asyncio.sleep(1);
      server.notify("jobs", "c");
      await task;
      assert.deepEqual(heard, ["a", "b", "gap", "c"]);
    },
    { iterations: 200 },
  );
});

test("a listener that is cancelled anywhere leaves no session", async () => {
  await testing.cancelSweep(
    async (_t, server) => {
      await using db = server.database();
      await asyncio.taskGroup(async (group) => {
        group.createTask(async () => {
          for await (const event of db.listen("jobs")) if (event.kind === "gap") break;
        });
        await asyncio.sleep(1);
        server.terminate();
      });
    },
    { setup: bank, invariant: sound, depth: 1 },
  );
});

test("a stream that is cancelled anywhere gives its connection back", async () => {
  await testing.cancelSweep(
    async (_t, server) => {
      server.define("many", () => Array.from({ length: 7 }, (_, n) => ({ n })));
      await using db = server.database({ max: 1 });
      let sum = 0;
      for await (const { n } of db.stream<{ n: number }>(sql`many`, { batch: 2 })) {
        sum += n;
        await asyncio.sleep(0.001);
      }
      assert.equal(sum, 21);
      assert.deepEqual(db.stats().holders, []);
    },
    { setup: bank, invariant: sound, depth: 1 },
  );
});
