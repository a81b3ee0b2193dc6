import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import {
  CommitUnknownError,
  ConnectionLostError,
  type Database,
  sql,
  type Transaction,
  type TransactionOptions,
} from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { startProxy } from "../src/testing.ts";
import { limitOnceWaiting } from "./limit-once-waiting.ts";
import { describeEveryWay, type Observer, running } from "./postgres.ts";

/** A soak repeats more often. */
const ROUNDS = Number(process.env.ASYNCIO_DB_ROUNDS ?? 300);

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

const table = async (db: Database): Promise<void> => {
  await db.execute(sql`drop table if exists t`);
  await db.execute(sql`create table t (n int primary key)`);
};
const add = (to: Database | Transaction, n: number) => to.execute(sql`insert into t values (${n})`);
const rowsOf = async (db: Database): Promise<number[]> =>
  (await db.query<{ n: number }>(sql`select n from t order by n`)).map(({ n }) => n);

describeEveryWay("transactions", (bench) => {
  test("commits what its body did, and gives what it returned", () =>
    bench.run(async (db) => {
      await table(db);
      const value = await db.transaction(async (tx) => {
        await add(tx, 1);
        return "done";
      });
      assert.deepEqual([value, await rowsOf(db)], ["done", [1]]);
    }));

  test("a body that fails is rolled back, and fails bare", () =>
    bench.run(async (db) => {
      await table(db);
      const error = await failureOf(
        db.transaction(async (tx) => {
          await add(tx, 1);
          throw new RangeError("no");
        }),
      );
      assert.equal(error.constructor, RangeError);
      assert.deepEqual(await rowsOf(db), []);
    }));

  test("a deadline rolls it back before the caller goes on", () =>
    bench.run(
      async (db, observer) => {
        await table(db);
        const error = await failureOf(
          asyncio.timeout(0.1, () =>
            db.transaction(async (tx) => {
              await add(tx, 1);
              await tx.query(sql`select pg_sleep(10)`);
            }),
          ),
        );
        assert.ok(error instanceof asyncio.TimeoutError);
        assert.deepEqual(await running(observer), []);
        assert.deepEqual(await rowsOf(db), []);
      },
      { max: 1 },
    ));

  test("BEGIN brings the deadline to the server", () =>
    bench.run(async (db) => {
      const [row] = await asyncio.timeout(1000, () =>
        db.transaction((tx) =>
          tx.query<{ ms: number }>(
            sql`select setting::int as ms from pg_settings where name = 'statement_timeout'`,
          ),
        ),
      );
      const free = await db.transaction((tx) => tx.one(sql`show statement_timeout`));
      // With the grace of 5 s, and without what it took to get here.
      assert.ok(row && row.ms > 900_000 && row.ms <= 1_005_000, String(row?.ms));
      assert.deepEqual(free, { statement_timeout: "0" });
    }));

  test("BEGIN goes with the first query: until then no transaction is open", () =>
    bench.run(
      async (db, observer) => {
        await table(db);
        const open = async () => {
          const [row] = await observer(
            "select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%'",
          );
          return row?.n;
        };
        const counts: unknown[] = [];
        const nothing = await db.transaction(async () => {
          counts.push(await asyncio.cancellable(open));
          return "asked nothing";
        });
        await db.transaction(async (tx) => {
          counts.push(await asyncio.cancellable(open));
          await Promise.all([add(tx, 1), add(tx, 2)]);
          counts.push(await asyncio.cancellable(open));
        });
        counts.push(await asyncio.cancellable(open));
        assert.deepEqual(
          [nothing, counts, await rowsOf(db)],
          ["asked nothing", [0, 0, 1, 0], [1, 2]],
        );
      },
      { max: 1 },
    ));

  test("what goes with BEGIN is in the transaction, whatever it is", () =>
    bench.run(
      async (db) => {
        await table(db);
        const firsts: Readonly<Record<string, (tx: Transaction) => Promise<unknown>>> = {
          query: (tx) => add(tx, 1),
          batch: (tx) => tx.batch([sql`insert into t values (1)`, sql`insert into t values (2)`]),
          savepoint: (tx) => tx.savepoint((sp) => add(sp, 1)),
          stream: async (tx) => {
            for await (const _ of tx.stream(sql`insert into t values (1), (2) returning n`, {
              batch: 1,
            }));
          },
          "a value that cannot be sent": (tx) =>
            failureOf(tx.query(sql`select ${"\0"}`)).then(() => add(tx, 1)),
          "two at a time": (tx) => Promise.all([add(tx, 1), add(tx, 2)]),
        };
        for (const [what, first] of Object.entries(firsts)) {
          const error = await failureOf(
            db.transaction(async (tx) => {
              await first(tx);
              throw new RangeError("undo it");
            }),
          );
          assert.ok(error instanceof RangeError, `${what}: ${error}`);
          assert.deepEqual([what, await rowsOf(db)], [what, []]);
        }
      },
      { max: 1 },
    ));

  test("where BEGIN is refused nothing runs, now or later", () =>
    bench.run(
      async (db) => {
        await table(db);
        const { session, giveBack } = await db.lend();
        const owner = {};
        session.openWith(owner, () => ["nonsense", "begin"]);
        const statement = { text: "insert into t values (1)", values: [], prepare: false };
        const error = await failureOf(
          session.send({ kind: "query", statement }, { title: "first", owner }),
        );
        giveBack();
        assert.match(error.message, /syntax error at or near "nonsense"/);
        assert.deepEqual([session.connection.status, await rowsOf(db)], ["idle", []]);
      },
      { max: 1 },
    ));

  test("siblings in a body: one fails, those under way are ended, those in line never run", () =>
    bench.run(async (db, observer) => {
      await table(db);
      const outcomes: unknown[] = [];
      const note = (work: Promise<unknown>) =>
        work.catch((error) => {
          outcomes.push(error.code);
          throw error;
        });
      const error = await failureOf(
        db.transaction(async (tx) => {
          await add(tx, 1);
          await Promise.all([
            note(tx.query(sql`select pg_sleep(10)`)),
            note(add(tx, 2)),
            asyncio.sleep(0.05).then(() => {
              throw new Error("sibling");
            }),
          ]);
        }),
      );
      await asyncio.sleep(0.01);
      assert.equal(error.message, "sibling");
      assert.deepEqual(await running(observer), []);
      assert.deepEqual(await rowsOf(db), []);
      assert.equal(outcomes.length, 2);
    }));

  test("queries that a body did not await belong to it", () =>
    bench.run(async (db) => {
      await table(db);
      await db.transaction(async (tx) => {
        void add(tx, 1);
        void add(tx, 2);
      });
      assert.deepEqual(await rowsOf(db), [1, 2]);
    }));

  test("a body that catches its cancellation and goes on is rolled back all the same", () =>
    bench.run(async (db) => {
      await table(db);
      let second: Error | undefined;
      const error = await failureOf(
        db.transaction(async (tx) => {
          await add(tx, 1);
          await limitOnceWaiting(() => tx.query(sql`select pg_sleep(9)`, { name: "slow" }));
          second = await failureOf(add(tx, 2));
        }),
      );
      assert.equal(second?.message, error.message);
      assert.equal(error.code, "ERR_DATABASE_TRANSACTION_DOOMED");
      assert.match(error.message, /query "slow" in it was cancelled/);
      assert.ok(error.cause instanceof asyncio.CancelledError);
      assert.deepEqual(await rowsOf(db), []);
    }));

  test("so is one that catches the failure of a query", () =>
    bench.run(async (db) => {
      await table(db);
      const error = await failureOf(
        db.transaction(async (tx) => {
          await add(tx, 1);
          await failureOf(tx.query(sql`select 1 / 0`, { name: "share" }));
        }),
      );
      assert.match(error.message, /query "share" in it has failed/);
      assert.deepEqual(await rowsOf(db), []);
    }));

  test("one that its body has ended by hand is told, whatever the body returns", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table notes (n int)`);
      const ends = ["rollback", "commit", "commit and chain", "rollback and chain"];
      for (const [n, end] of ends.entries()) {
        const failure = await failureOf(
          db.transaction(async (tx) => {
            await tx.execute(sql`insert into notes values (${n})`);
            await tx.execute(sql.raw(end));
            // Outside of the transaction it would be kept, whatever comes of the body.
            await tx.execute(sql`insert into notes values (9)`).catch(() => {});
            return "done";
          }),
        );
        assert.match(failure.message, new RegExp(`was ended by its own query "${end}"`));
      }
      assert.deepEqual(await db.query(sql`select n from notes order by n`), [{ n: 1 }, { n: 2 }]);
      await db.transaction(async (tx) => {
        await tx.execute(sql`savepoint mine`);
        await tx.execute(sql`insert into notes values (3)`);
        await tx.execute(sql`rollback to savepoint mine`); // ends nothing
      });
    }));

  test("a batch that ends its transaction and begins the next one has ended it", () =>
    bench.run(async (db) => {
      await table(db);
      for (const [n, end] of ["commit", "end work", "rollback", "abort -- why"].entries()) {
        const failure = await failureOf(
          db.transaction(async (tx) => {
            await add(tx, n);
            await tx.batch([sql.raw(end), sql`begin`], { name: "again" });
            await add(tx, 9).catch(() => {});
          }),
        );
        assert.match(failure.message, /was ended by its own query "again"/);
      }
      assert.deepEqual(await rowsOf(db), [0, 1]);
    }));

  test("a handle is closed with its body, by name, and sends nothing", () =>
    bench.run(async (db) => {
      await table(db);
      let kept: Transaction | undefined;
      await db.transaction(
        async (tx) => {
          kept = tx;
        },
        { name: "pay" },
      );
      const error = await failureOf(
        kept?.execute(sql`insert into t values (9)`, { name: "late" }) ?? assert.fail(),
      );
      assert.ok(error instanceof asyncio.InvalidStateError);
      assert.match(error.message, /"late" belongs to transaction "pay", which has ended/);
      assert.deepEqual(await rowsOf(db), []);
    }));

  test("a task that outlives the body cannot use it", () =>
    bench.run(async (db) => {
      await table(db);
      const go = new asyncio.Event();
      let late: asyncio.Task<Error> | undefined;
      await db.transaction(async (tx) => {
        late = asyncio.createTask(async () => {
          await go.wait();
          return await failureOf(add(tx, 1));
        });
      });
      go.set();
      assert.ok((await late) instanceof asyncio.InvalidStateError);
      assert.deepEqual(await rowsOf(db), []);
    }));

  test("a savepoint that fails or is cancelled is undone alone", () =>
    bench.run(async (db) => {
      await table(db);
      await db.transaction(async (tx) => {
        await add(tx, 1);
        await failureOf(
          tx.savepoint(async (sp) => {
            await add(sp, 2);
            await add(sp, 2);
          }),
        );
        const { cancelled } = await limitOnceWaiting((begins) =>
          tx.savepoint(async (sp) => {
            await add(sp, 3);
            begins();
            await sp.query(sql`select pg_sleep(9)`);
          }),
        );
        assert.equal(cancelled, true);
        const before = await asyncio.moveOnAfter(0, () => tx.savepoint((sp) => add(sp, 3)));
        assert.equal(before.cancelled, true);
        await tx.savepoint(async (sp) => {
          await add(sp, 4);
          await sp.savepoint((inner) => add(inner, 5));
        });
        await add(tx, 6);
      });
      assert.deepEqual(await rowsOf(db), [1, 4, 5, 6]);
    }));

  test("while a savepoint is open its transaction takes no query", () =>
    bench.run(async (db) => {
      await table(db);
      await db.transaction(async (tx) => {
        await tx.savepoint(
          async (sp) => {
            const error = await failureOf(tx.execute(sql`select 1`, { name: "wrong" }));
            assert.match(error.message, /"wrong" .* while savepoint "inner" in it is open/);
            await add(sp, 1);
          },
          { name: "inner" },
        );
      });
      assert.deepEqual(await rowsOf(db), [1]);
    }));

  test("a deferred constraint fails COMMIT, and nothing is kept", () =>
    bench.run(async (db) => {
      await db.execute(
        sql`create table parent (id int primary key, other int references parent deferrable initially deferred)`,
      );
      const error = await failureOf(
        db.transaction((tx) => tx.execute(sql`insert into parent values (1, 2)`)),
      );
      assert.equal((error as { sqlstate?: string }).sqlstate, "23503");
      assert.deepEqual(await db.query(sql`select * from parent`), []);
    }));

  test("a session that is terminated while the body sleeps cancels the body", () =>
    bench.run(async (db, observer) => {
      await table(db);
      let wasCancelled = false;
      const error = await failureOf(
        db.transaction(async (tx) => {
          await add(tx, 1);
          const [row] = await tx.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
          await observer(`select pg_terminate_backend(${row?.pid})`);
          try {
            await asyncio.sleep(20);
          } catch (error) {
            wasCancelled = error instanceof asyncio.CancelledError;
            throw error;
          }
        }),
      );
      assert.ok(error instanceof ConnectionLostError);
      assert.match(error.message, /terminating connection due to administrator command/);
      assert.equal(wasCancelled, true);
      assert.deepEqual(await rowsOf(db), []);
    }));

  /** A transaction with a COMMIT that takes five seconds, or until its session is killed in it. */
  async function killInCommit(
    db: Database,
    observer: Observer,
    options: TransactionOptions,
  ): Promise<unknown> {
    await table(db);
    await db.execute(
      sql.raw(`create or replace function slow() returns trigger language plpgsql as
        $$ begin perform pg_sleep(5); return null; end $$`),
    );
    await db.execute(
      sql.raw(`create constraint trigger slow after insert on t deferrable initially deferred
        for each row execute function slow()`),
    );
    const pids: number[] = [];
    const work = db.transaction(async (tx) => {
      pids.push((await tx.one<{ pid: number }>(sql`select pg_backend_pid() as pid`)).pid);
      await add(tx, 1);
    }, options);
    const failure = failureOf(work);
    for (;;) {
      const rows = await observer(
        `select 1 from pg_stat_activity where pid = ${pids[0] ?? 0} and wait_event = 'PgSleep'`,
      );
      if (rows.length > 0) break;
      await asyncio.sleep(0.02);
    }
    await observer(`select pg_terminate_backend(${pids[0]})`);
    const error = await failure;
    await observer("drop trigger slow on t");
    return error;
  }

  test("a connection that is killed during COMMIT leaves its outcome unknown", () =>
    bench.run(async (db, observer) => {
      const error = await killInCommit(db, observer, { name: "pay" });
      assert.ok(error instanceof CommitUnknownError);
      assert.match(error.message, /whether transaction "pay" has taken effect is not known/);
    }));

  test("with `verify` another connection is asked: it was rolled back", () =>
    bench.run(
      async (db, observer) => {
        const error = await killInCommit(db, observer, { name: "pay", verify: true });
        assert.ok(error instanceof ConnectionLostError, String(error));
        assert.match(error.message, /"pay" was rolled back: the connection was lost in its COMMIT/);
        assert.ok(error.cause instanceof CommitUnknownError);
        assert.deepEqual(await rowsOf(db), []);
      },
      { max: 1 },
    ));

  test("with `verify` another connection is asked: it has committed", () =>
    bench.run(async (direct) => {
      await table(direct);
      await using proxy = await startProxy(bench.port);
      const url = bench.url(proxy.port);
      const onQuery = ({ name }: { readonly name: string }): void => {
        if (name === "verify pay") proxy.deafen(); // COMMIT is next, and its answer never comes
      };
      await using db = await connect(url, { ...bench.options, max: 1, grace: 0.3, onQuery });
      const pay = { name: "pay", verify: true };
      const value = await db.transaction((tx) => add(tx, 1), pay);
      assert.deepEqual([value, await rowsOf(direct)], [1, [1]]);
      const nothing = await db.transaction((tx) => tx.query(sql`select 1 as one`), pay);
      assert.deepEqual(nothing, [{ one: 1 }]); // there was nothing to commit
    }));

  test("conflicts are run again, within the deadline, and the sum is right", () =>
    bench.run(
      async (db) => {
        await db.execute(sql`create table counter (n int)`);
        await db.execute(sql`insert into counter values (0)`);
        let runs = 0;
        const twoHaveRead = new asyncio.Barrier(2); // so there is a conflict at least once
        await asyncio.taskGroup(async (group) => {
          for (let i = 0; i < 50; i++)
            group.createTask(() =>
              db.transaction(
                async (tx) => {
                  const isFirst = ++runs <= 2;
                  const { n } = await tx.one<{ n: number }>(sql`select n from counter`);
                  if (isFirst) await twoHaveRead.wait();
                  await tx.execute(sql`update counter set n = ${n + 1}`);
                },
                { isolation: "serializable", retries: 100 },
              ),
            );
        });
        assert.deepEqual(await db.one(sql`select n from counter`), { n: 50 });
        assert.ok(runs > 50);
      },
      { max: 8 },
    ));

  test("a transaction that has streamed is not run again", () =>
    bench.run(async (db) => {
      let runs = 0;
      const error = await failureOf(
        db.transaction(
          async (tx) => {
            runs++;
            for await (const _ of tx.stream(sql`select generate_series(1, 3)`)) break;
            await tx.execute(
              sql.raw("do $$ begin raise exception using errcode = '40001'; end $$"),
            );
          },
          { retries: 5 },
        ),
      );
      assert.equal((error as { sqlstate?: string }).sqlstate, "40001");
      assert.equal(runs, 1);
    }));

  test("options are checked before anything is sent", () =>
    bench.run(async (db) => {
      const level = await failureOf(
        db.transaction(async () => {}, { isolation: "snapshot" as never }),
      );
      const body = await failureOf(db.transaction(Promise.resolve() as never));
      assert.match(level.message, /`isolation` to be a level/);
      assert.match(body.message, /a function that returns a promise/);
    }));

  test(
    "told is what is found, whenever the deadline strikes",
    { timeout: 100_000 + 100 * ROUNDS },
    () =>
      bench.run(async (db) => {
        await table(db);
        const told = { yes: 0, no: 0 };
        const wrong: number[] = [];
        await asyncio.taskGroup(async (group) => {
          for (let lane = 0; lane < 4; lane++)
            group.createTask(async () => {
              for (let n = lane; n < ROUNDS; n += 4) {
                const seconds = 0.0005 + 0.009 * ((n * 0.618) % 1);
                const outcome = await asyncio
                  .timeout(seconds, () =>
                    db.transaction(async (tx) => {
                      await add(tx, n);
                      await tx.query(sql`select pg_sleep(0.002)`);
                    }),
                  )
                  .then(
                    () => true,
                    (error) => {
                      assert.ok(error instanceof asyncio.TimeoutError, String(error));
                      return false;
                    },
                  );
                told[outcome ? "yes" : "no"]++;
                const found = await db.query(sql`select 1 from t where n = ${n}`);
                if ((found.length === 1) !== outcome) wrong.push(n);
              }
            });
        });
        assert.deepEqual(wrong, []);
        assert.ok(told.no > 0, JSON.stringify(told));
      }),
  );
});
