import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as asyncio from "asyncio-ts";
import { sql } from "../src/index.ts";
import { describeEveryWay, running } from "./postgres.ts";

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => assert.fail("it has not failed"),
    (error: Error) => error,
  );

describeEveryWay("streams", (bench) => {
  test("gives all rows, a batch at a time", () =>
    bench.run(
      async (db) => {
        const query = () => sql`select generate_series(1, ${1000}) as n`;
        for (let round = 0; round < 2; round++) {
          let sum = 0;
          for await (const { n } of db.stream<{ n: number }>(query(), { batch: 7 })) sum += n;
          assert.equal(sum, 500_500, `round ${round}`); // the second time its plan is known
        }
        assert.deepEqual(db.stats().holders, []);
      },
      { max: 1 },
    ));

  test("break, throw and a deadline close the cursor; the connection is used again", () =>
    bench.run(
      async (db, observer) => {
        const first = await bench.connectionOf(db);
        const rows = () =>
          db.stream(sql`select n, pg_sleep(0.001) from generate_series(1, 100000) as n`, {
            batch: 5,
          });
        for await (const _ of rows()) break;
        const thrown = await failureOf(
          (async () => {
            for await (const _ of rows()) throw new Error("enough");
          })(),
        );
        const late = await failureOf(
          asyncio.timeout(0.1, async () => {
            for await (const _ of rows());
          }),
        );
        const second = await bench.connectionOf(db);
        assert.equal(thrown.message, "enough");
        assert.ok(late instanceof asyncio.TimeoutError, String(late));
        assert.deepEqual(await running(observer), []);
        assert.deepEqual([second, db.stats().holders], [first, []]);
      },
      { max: 1 },
    ));

  test("a failure comes after the rows before it", () =>
    bench.run(async (db) => {
      const seen: unknown[] = [];
      const error = await failureOf(
        (async () => {
          for await (const row of db.stream(
            sql`select 1 / (3 - n) as q from generate_series(1, 5) as n`,
            {
              batch: 1,
            },
          ))
            seen.push(row);
        })(),
      );
      assert.deepEqual([seen.length, (error as { sqlstate?: string }).sqlstate], [2, "22012"]);
      assert.deepEqual(db.stats().holders, []);
    }));

  test("a stream that changes rows is committed at its end, and undone when it is left", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table queue as select generate_series(1, 10) as n`);
      const left = db.stream(sql`delete from queue where n <= 5 returning n`, { batch: 2 });
      for await (const _ of left) break;
      let count = 0;
      for await (const _ of db.stream(sql`delete from queue where n > 5 returning n`, { batch: 2 }))
        count++;
      assert.equal(count, 5);
      assert.deepEqual(await db.one(sql`select count(*)::int as n from queue`), { n: 5 });
    }));

  test("in a transaction a stream that is left lets it go on", () =>
    bench.run(async (db) => {
      const value = await db.transaction(async (tx) => {
        for await (const _ of tx.stream(sql`select generate_series(1, 1000)`, { batch: 10 })) break;
        return await tx.one<{ n: number }>(
          sql`select count(*)::int as n from pg_cursors where name <> ''`,
        );
      });
      assert.deepEqual(value, { n: 0 });
    }));

  test("a million rows leave the memory flat", { timeout: 120_000 }, () =>
    bench.run(async (db) => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const sizes: number[] = [];
      let count = 0;
      const rows = db.stream(sql`select n, 'some text' as t from generate_series(1, 1000000) as n`);
      for await (const _ of rows) {
        if (++count % 250_000 !== 0) continue;
        collect();
        sizes.push(process.memoryUsage().heapUsed);
      }
      const [first = 0, ...rest] = sizes;
      assert.equal(count, 1_000_000);
      assert.ok(Math.max(...rest) - first < 5e6, String(sizes));
    }),
  );

  test("copyFrom counts its rows; a source that fails or is cancelled leaves none", () =>
    bench.run(
      async (db) => {
        await db.execute(sql`create table log (n int, t text)`);
        const first = await bench.connectionOf(db);
        const lines = async function* (count: number, then?: () => Promise<void>) {
          for (let n = 0; n < count; n++) yield `${n}\tline ${n}\n`;
          await then?.();
        };
        const copied = await db.copyFrom(sql`copy log from stdin`, lines(20_000));
        const failed = await failureOf(
          db.copyFrom(
            sql`copy log from stdin`,
            lines(10, () => Promise.reject(new Error("disk"))),
          ),
        );
        const late = await failureOf(
          asyncio.timeout(0.1, () =>
            db.copyFrom(
              sql`copy log from stdin`,
              lines(10, () => asyncio.sleep(20)),
            ),
          ),
        );
        const refused = await failureOf(db.copyFrom(sql`copy log from stdin`, ["x\ty\n"]));
        const second = await bench.connectionOf(db);
        assert.equal(copied, 20_000);
        assert.equal(failed.message, "disk");
        assert.ok(late instanceof asyncio.TimeoutError, String(late));
        assert.equal((refused as { sqlstate?: string }).sqlstate, "22P02");
        assert.deepEqual(await db.one(sql`select count(*)::int as n from log`), { n: 20_000 });
        assert.deepEqual([second, db.stats().holders], [first, []]);
      },
      { max: 1 },
    ));

  test("a copy that was asked for by another call, or none, is refused, and the connection goes on", () =>
    bench.run(
      async (db) => {
        await db.execute(sql`create table copied (n int)`);
        const first = await bench.connectionOf(db);
        const all = async (copy: AsyncIterable<Uint8Array>) => {
          for await (const _ of copy);
        };
        const into = sql`copy copied from stdin`;
        const out = sql`copy (select 1) to stdout`;
        const calls: [call: () => Promise<unknown>, message: RegExp][] = [
          [() => db.query(into), /asked for by `copyFrom`/],
          [() => db.query(into, { prepare: false }), /asked for by `copyFrom`/],
          [() => db.transaction((tx) => tx.query(into)), /asked for by `copyFrom`/],
          [() => db.batch([sql`select 1`, into]), /asked for by `copyFrom`/],
          [() => db.query(out), /asked for by `copyTo`/],
          [
            () => db.copyFrom(sql`copy copied from stdin; copy copied from stdin`, ["1\n"]),
            /one at a time/,
          ],
          [() => db.copyFrom(out, ["1\n"]), /asked for by `copyTo`/],
          [() => db.copyFrom(sql`select 1`, ["1\n"]), /expects a `copy \.\.\. from stdin`/],
          [() => all(db.copyTo(into)), /asked for by `copyFrom`/],
          [() => all(db.copyTo(sql`select 1`)), /expects a `copy \.\.\. to stdout`/],
          [() => db.copyFrom(into, [[49, 10] as unknown as string]), /a source of texts or bytes/],
          [() => db.copyFrom(into, null as unknown as string), /an iterable of texts or bytes/],
        ];
        for (const [call, message] of calls) {
          assert.match((await failureOf(asyncio.timeout(5, call))).message, message);
          assert.deepEqual(await db.query(sql`select count(*)::int as n from copied`), [{ n: 0 }]);
        }
        const second = await bench.connectionOf(db);
        assert.deepEqual([second, db.stats().holders], [first, []]);
        // A statement behind the copy breaks the protocol, and its server ends the session.
        await assert.rejects(asyncio.timeout(5, () => db.batch([into, sql`select 1`])));
        assert.deepEqual(await db.query(sql`select count(*)::int as n from copied`), [{ n: 0 }]);
      },
      { max: 1 },
    ));

  test("a stream that is asked twice at a time, or left meanwhile, keeps no connection", () =>
    bench.run(async (db, observer) => {
      const streams = (): AsyncIterableIterator<unknown>[] => [
        db.stream(sql`select generate_series(1, 3), pg_sleep(0.05)`, { batch: 1 }),
        db.copyTo(sql`copy (select generate_series(1, 3), pg_sleep(0.05)) to stdout`),
      ];
      for (const stream of streams()) {
        const first = asyncio.createTask(() => stream.next());
        await asyncio.sleep(0);
        assert.match((await failureOf(stream.next())).message, /Read it in one loop/);
        assert.equal((await first).done, false);
        await stream.return?.();
      }
      for (const stream of streams()) {
        const first = asyncio.createTask(() => stream.next());
        await asyncio.sleep(0);
        await stream.return?.();
        assert.equal((await first).done, true);
      }
      assert.deepEqual([db.stats().holders, await running(observer)], [[], []]);
    }));

  test("a channel whose name no server keeps whole is refused", () =>
    bench.run(async (db) => {
      assert.throws(() => db.listen("é".repeat(32)), /a name of 63 bytes at most/);
      assert.ok(db.listen("é".repeat(31)));
    }));

  test("a listener that is left while it connects leaves no session", bench.needsSession, () =>
    bench.run(async (db, observer) => {
      const listener = db.listen("news");
      const first = asyncio.createTask(() => listener.next());
      await asyncio.sleep(0);
      await listener.return?.();
      assert.equal((await first).done, true);
      const sessions = await observer("select 1 from pg_stat_activity where query like 'listen%'");
      assert.deepEqual(sessions, []);
    }),
  );

  test("copyTo gives the bytes; leaving the loop ends it", () =>
    bench.run(
      async (db, observer) => {
        const first = await bench.connectionOf(db);
        let text = "";
        for await (const bytes of db.copyTo(sql`copy (select generate_series(1, 3)) to stdout`))
          text += Buffer.from(bytes).toString();
        let some = 0;
        for await (const bytes of db.copyTo(
          sql`copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout`,
        )) {
          some += bytes.length;
          if (some > 1e6) break;
        }
        const late = await failureOf(
          asyncio.timeout(0.1, async () => {
            for await (const _ of db.copyTo(sql`copy (select pg_sleep(9)) to stdout`));
          }),
        );
        const wrong = await failureOf(
          (async () => {
            for await (const _ of db.copyTo(sql`copy nothing to stdout`));
          })(),
        );
        const second = await bench.connectionOf(db);
        assert.equal(text, "1\n2\n3\n");
        assert.ok(late instanceof asyncio.TimeoutError, String(late));
        assert.equal((wrong as { sqlstate?: string }).sqlstate, "42P01");
        assert.deepEqual(await running(observer), []);
        assert.deepEqual([second, db.stats().holders], [first, []]);
      },
      { max: 1 },
    ));

  test("listen hears what is notified, in order, and leaves no session", bench.needsSession, () =>
    bench.run(async (db, observer) => {
      const heard: string[] = [];
      const task = asyncio.createTask(async () => {
        for await (const event of db.listen('jobs "now"')) {
          heard.push(event.kind === "gap" ? "gap" : event.payload);
          if (heard.length === 3) break;
        }
      });
      await listening(observer);
      for (const payload of ["a", "b", "c"])
        await db.execute(sql`select pg_notify('jobs "now"', ${payload})`);
      await task;
      assert.deepEqual(heard, ["a", "b", "c"]);
      await othersGone(observer);
    }),
  );

  test("a listener whose session is lost tells one gap, and hears again", bench.needsSession, () =>
    bench.run(async (db, observer) => {
      const heard: string[] = [];
      const first = new asyncio.Event();
      const task = asyncio.createTask(async () => {
        for await (const event of db.listen("jobs")) {
          heard.push(event.kind === "gap" ? "gap" : event.payload);
          first.set();
          if (event.kind === "gap") await db.execute(sql`select pg_notify('jobs', 'after')`);
          if (heard.at(-1) === "after") break;
        }
      });
      await listening(observer);
      await db.execute(sql`select pg_notify('jobs', 'before')`);
      await first.wait();
      await observer(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and pid <> pg_backend_pid()",
      );
      await task;
      assert.deepEqual(heard, ["before", "gap", "after"]);
    }),
  );

  test("a burst that is more than the consumer takes is one gap", bench.needsSession, () =>
    bench.run(async (db, observer) => {
      const heard: string[] = [];
      const go = new asyncio.Event();
      const task = asyncio.createTask(async () => {
        for await (const event of db.listen("jobs", { limit: 100 })) {
          heard.push(event.kind === "gap" ? "gap" : event.payload);
          await go.wait();
          if (heard.at(-1) === "last") break;
        }
      });
      const other = asyncio.createTask(async () => {
        let count = 0;
        for await (const _ of db.listen("jobs", { limit: 20_000 })) if (++count === 10_000) break;
      });
      await listening(observer, 2);
      await db.execute(sql`select pg_notify('jobs', n::text) from generate_series(1, 10000) as n`);
      await other;
      await asyncio.sleep(0.2); // what the one has heard, the other gets as well
      go.set();
      await asyncio.sleep(0.1);
      await db.execute(sql`select pg_notify('jobs', 'last')`);
      await task;
      assert.deepEqual(heard.slice(0, 3), ["1", "2", "3"]);
      assert.deepEqual(heard.slice(-2), ["gap", "last"]);
      assert.equal(heard.filter((event) => event === "gap").length, 1);
      assert.ok(heard.length <= 105, String(heard.length));
    }),
  );

  test("a listener that is cancelled closes its session", bench.needsSession, () =>
    bench.run(async (db, observer) => {
      const { cancelled } = await asyncio.moveOnAfter(0.2, async () => {
        for await (const _ of db.listen("jobs"));
      });
      assert.equal(cancelled, true);
      await othersGone(observer);
    }),
  );
});

type Observer = (text: string) => Promise<Record<string, unknown>[]>;

async function listening(observer: Observer, count = 1): Promise<void> {
  for (;;) {
    const rows = await observer(
      "select 1 from pg_stat_activity where query like 'listen%' and state = 'idle'",
    );
    if (rows.length >= count) return;
    await asyncio.sleep(0.01);
  }
}

/** Waits until the pool has the only session: one that was closed takes a moment to be gone. */
async function othersGone(observer: Observer): Promise<void> {
  const text = "select pid from pg_stat_activity where application_name = 'asyncio-ts-db'";
  while ((await observer(text)).length !== 1) await asyncio.sleep(0.01);
}
