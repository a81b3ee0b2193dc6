import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { Program } from "../program.ts";
import { needs, runTool, withPostgres } from "../servers.ts";
import { addJobs, type Job, type JobOptions, jobsIn, makeTable } from "./jobs.ts";
import { isLoss, Session } from "./session.ts";

const { createTask, taskGroup, timeout } = asyncio;

interface Server {
  readonly host: string;
  readonly user: string;
}
const stop = new AbortController();
const server = Promise.withResolvers<Server>();
let databases = 0;

/** A database with an empty table, and a session. */
async function withDatabase(
  body: (
    open: (grace?: number) => Promise<Session>,
    session: Session,
    at: Server & { database: string },
  ) => Promise<void>,
): Promise<void> {
  const at = await server.promise;
  const database = `test_${++databases}`;
  await asyncio.run(async () => {
    {
      await using first = await Session.open(
        { ...at, database: "postgres" },
        { connectSeconds: 30 },
      );
      await first.query(`create database ${database}`);
    }
    const open = (grace = 30) => Session.open({ ...at, database }, { connectSeconds: 30, grace });
    await using session = await open();
    await makeTable(session);
    await body(open, session, { ...at, database });
  });
}

const states = async (session: Session) => {
  const rows = await session.query<{ state: string; count: number }>(
    "select state, count(*)::int as count from jobs group by state order by state",
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
};

const busy =
  "select 1 from pg_stat_activity where state <> 'idle' and query like '%pg_sleep%' and pid <> pg_backend_pid() and datname = current_database()";

/** Waits until the server says of another connection that `what`: it tells nobody by itself. */
async function seen(session: Session, what: string): Promise<void> {
  const look = `select 1 from pg_stat_activity
    where ${what} and pid <> pg_backend_pid() and datname = current_database()`;
  while ((await session.query(look)).length === 0);
}

describe("with a real PostgreSQL", needs("postgres", "initdb"), () => {
  let running: Promise<void>;
  before(() => {
    running = asyncio.run(() =>
      withPostgres(async (at) => {
        server.resolve(at);
        await asyncio.cancellable(() => once(stop.signal, "abort"));
      }),
    );
    return Promise.race([server.promise, running]);
  });
  after(() => {
    stop.abort();
    return running;
  });

  test("a cancelled query has ended in the server, and the session goes on", () =>
    withDatabase(async (open, session) => {
      await using other = await open();
      const pid = async () => (await session.query("select pg_backend_pid() as pid"))[0]?.pid;
      const before = await pid();

      const slow = timeout(0.05, () => session.query("select pg_sleep(3600)"));

      await assert.rejects(slow, asyncio.TimeoutError);
      assert.deepEqual(await other.query(busy), []);
      assert.equal(await pid(), before);

      const both = taskGroup(async (group) => {
        group.createTask(() => session.query("select pg_sleep(3600)"));
        await other.query("select 1/0");
      });
      await assert.rejects(both, asyncio.ExceptionGroup);
      assert.deepEqual(await other.query(busy), []);
    }));

  test("a cancellation that comes late hits no other query", () =>
    withDatabase(async (_open, session) => {
      const outcomes = new Set<boolean>();
      for (let count = 0; count < 40; count++) {
        const moved = await asyncio.moveOnAfter(count / 8_000, () =>
          session.query("select pg_sleep(0.002)"),
        );
        outcomes.add(moved.cancelled);
        const next = "select $1::int as n from pg_sleep(0.01)";
        assert.deepEqual(await session.query(next, [count]), [{ n: count }]);
      }
      assert.ok(outcomes.has(true));
    }));

  test("a cancellation that is under way when the query is answered keeps the next query waiting", () =>
    withDatabase(async (open, session, { database }) => {
      await session.query("create schema slow");
      await session.query(`create function slow.pg_cancel_backend(int) returns boolean as $$
        select pg_advisory_lock(1); select pg_catalog.pg_cancel_backend($1) $$ language sql volatile`);
      await session.query(`alter database ${database} set search_path = slow, public, pg_catalog`);
      for (const lock of [1, 2, 3]) await session.query("select pg_advisory_lock($1)", [lock]);
      const unlock = (lock: number) => session.query("select pg_advisory_unlock($1)", [lock]);
      const isHeld = "wait_event_type = 'Lock' and query like";
      await using own = await open();

      const first = createTask(() => own.query("select 1 as one from pg_advisory_lock(2)"));
      const next = createTask(async () => {
        await first;
        return await own.query("select 2 as two from pg_advisory_lock(3)");
      });
      await seen(session, `${isHeld} '%lock(2)%'`);
      first.cancel();
      await seen(session, `${isHeld} '%pg_cancel_backend%'`);
      await unlock(2);
      await session.query("select pg_sleep(0.1)"); // a next query that does not wait begins meanwhile, and is hit
      await unlock(1);
      await unlock(3);

      assert.deepEqual([await first, await next], [[{ one: 1 }], [{ two: 2 }]]);
    }));

  test("a cancellation that comes before the server has begun with the query is not lost", () =>
    withDatabase(async (open, watcher) => {
      await using session = await open();
      const [row] = await session.query<{ pid: number }>("select pg_backend_pid() as pid");
      const pid = row?.pid ?? assert.fail();
      process.kill(pid, "SIGSTOP");
      const slow = createTask(() => session.query("select pg_sleep(3600)"));
      await asyncio.sleep(0); // it is on its way
      slow.cancel();
      await seen(watcher, "state = 'idle' and query like '%pg_cancel_backend%'");
      process.kill(pid, "SIGCONT");
      await assert.rejects(slow, asyncio.CancelledError);
      assert.deepEqual(await session.query("select 1 as one"), [{ one: 1 }]); // it was not given up
    }));

  test("a transaction that is cancelled leaves nothing, and what was told as committed is", () =>
    withDatabase(async (_open, session) => {
      await session.query("create table told (n int)");
      const told: number[] = [];
      for (let count = 0; count < 40; count++) {
        const moved = await asyncio.moveOnAfter(count / 10_000, () =>
          session.transaction(async () => {
            await session.query("insert into told values ($1)", [count]);
            await session.query("select pg_sleep(0.001)");
          }),
        );
        if (!moved.cancelled) told.push(count);
      }
      const rows = await session.query<{ n: number }>("select n from told order by n");
      assert.deepEqual(
        rows.map(({ n }) => n),
        told,
      );
    }));

  test("a transaction in which a query has failed is not told as committed", () =>
    withDatabase(async (_open, session) => {
      const hiding = session.transaction(async () => {
        await session.query("select 1/0").catch(() => {});
      });
      await assert.rejects(hiding, /was rolled back/);
      const alone = session.transaction(async () => {
        await session.savepoint(() => session.query("select 1/0")).catch(() => {});
        return "saved";
      });
      assert.equal(await alone, "saved");
    }));

  test("several make the table at once", () =>
    withDatabase(async (open, session) => {
      await session.query("drop table jobs");
      await taskGroup(async (group) => {
        for (let count = 0; count < 4; count++)
          group.createTask(async () => {
            await using own = await open();
            await makeTable(own);
          });
      });
      assert.deepEqual(await states(session), {});
    }));

  test("a server that does not react loses the connection, and nobody waits for ever", () =>
    withDatabase(async (open, session) => {
      const frozen = await open(0.1);
      const [row] = await frozen.query<{ pid: number }>("select pg_backend_pid() as pid");
      const pid = row?.pid ?? assert.fail();
      process.kill(pid, "SIGSTOP");
      try {
        const slow = timeout(0.01, () => frozen.query("select 1"));
        await assert.rejects(slow, asyncio.TimeoutError);
        await assert.rejects(frozen.query("select 1"), isLoss);
      } finally {
        process.kill(pid, "SIGCONT");
      }
      assert.deepEqual(await session.query("select 1 as one"), [{ one: 1 }]);
      await frozen[Symbol.asyncDispose]();
    }));

  const options = { attempts: 2, backoff: 0, run: async () => {} } satisfies JobOptions;

  test("many workers do each job once", () =>
    withDatabase(async (open, session) => {
      await session.query("create table log (id bigint)");
      await addJobs(
        session,
        Array.from({ length: 50 }, (_, index) => `job ${index}`),
      );
      const run = async (job: Job, own: Session) => {
        await own.query("insert into log values ($1)", [job.id]);
      };
      await taskGroup(async (group) => {
        for (let count = 0; count < 4; count++)
          group.createTask(async () => {
            await using own = await open();
            while (await jobsIn(own, { ...options, run }).doNext());
          });
      });
      const [row] = await session.query(
        "select count(*)::int as n, count(distinct id)::int as ids from log",
      );
      assert.deepEqual(row, { n: 50, ids: 50 });
      assert.deepEqual(await states(session), { done: 50 });
    }));

  test("a job that fails is undone, tried again, and at last left alone with its error", () =>
    withDatabase(async (_open, session) => {
      await session.query("create table log (id bigint)");
      await addJobs(session, ["good", "bad"]);
      const source = jobsIn(session, {
        ...options,
        run: async ({ id, payload }, own) => {
          await own.query("insert into log values ($1)", [id]);
          if (payload === "bad") await own.query("select 1/0");
        },
      });
      const results = [];
      for (let count = 0; count < 4; count++) results.push(await source.doNext());

      assert.deepEqual(results, [true, true, true, false]);
      assert.deepEqual(await states(session), { done: 1, failed: 1 });
      const [bad] = await session.query("select attempts, error from jobs where payload = 'bad'");
      assert.deepEqual(bad, { attempts: 2, error: "error: division by zero" });
      assert.deepEqual(await session.query("select count(*)::int as n from log"), [{ n: 1 }]);
    }));

  test("a worker that is cancelled, or loses its connection, leaves its job to the next", () =>
    withDatabase(async (open, session) => {
      await addJobs(session, ["long"]);
      let began = new asyncio.Event();
      const run = async (_job: Job, own: Session) => {
        began.set();
        await own.query("select pg_sleep(3600)");
      };
      for (const end of ["cancel", "terminate"]) {
        began = new asyncio.Event();
        const own = await open();
        const [row] = await own.query<{ pid: number }>("select pg_backend_pid() as pid");
        const worker = createTask(() => jobsIn(own, { ...options, run }).doNext());
        await began.wait();
        if (end === "cancel") worker.cancel();
        else await session.query("select pg_terminate_backend($1)", [row?.pid]);
        await assert.rejects(worker, end === "cancel" ? asyncio.CancelledError : isLoss);
        assert.deepEqual(await states(session), { ready: 1 });
        await own[Symbol.asyncDispose]();
      }
      assert.equal(await jobsIn(session, options).doNext(), true);
      assert.deepEqual(await states(session), { done: 1 });
    }));

  test(
    "the program does what psql puts in, comes back after a loss, and ends by Ctrl-C",
    needs("psql"),
    () =>
      withDatabase(async (_open, session, { host, database }) => {
        const login = ["-h", host, "-U", "postgres", "-d", database, "--no-psqlrc", "-qAt"];
        const psql = (sql: string) => runTool("psql", [...login, "-c", sql]);
        const pipe = join(host, `pipe-${database}`);
        await runTool("mkfifo", [pipe]);
        const script = `read a; echo "$a"; test "$a" != wait || { echo >${pipe}; sleep 3600; }`;
        const env = { PGHOST: host, PGUSER: "postgres", PGDATABASE: database };
        const start = (...args: string[]) => new Program(env, "database-worker/main.ts", ...args);
        assert.deepEqual(await start("add", "from us").end(), {
          code: 0,
          signal: null,
          stderr: "",
        });
        const program = start("work", "--workers", "2", "--", "sh", "-c", script);
        const printed = new Set([await program.line(), await program.line()]);
        assert.deepEqual(printed, new Set(["listening", "job 1: from us"]));

        const insert = (text: string) =>
          psql(`insert into jobs (payload) values ('${text}'); notify jobs`);
        assert.equal((await insert("from psql")).returncode, 0);
        assert.equal(await program.line(), "job 2: from psql");
        // A job prints before its transaction ends, which holds the row.
        const settled = () => session.query("select state from jobs for update");
        assert.deepEqual(await settled(), [{ state: "done" }, { state: "done" }]);

        await session.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()",
        );
        assert.equal(await program.line(), "listening");
        await insert("again");
        assert.equal(await program.line(), "job 3: again");
        await settled();

        await insert("wait");
        await runTool("cat", [pipe]); // until the job has begun
        const { signal, stderr } = await program.end("SIGINT");
        assert.equal(signal, "SIGINT");
        assert.match(stderr, /^(lost: .*\n){2,}$/);
        assert.equal(
          (await psql("select state, count(*) from jobs group by 1 order by 1")).stdout,
          "done|3\nready|1\n",
        );
      }),
  );
});
