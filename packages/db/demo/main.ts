// `npm run demo:db`: three questions, and the answers are counted on the server.
//
//   1. Did my transaction commit? Deadlines strike anywhere in it; what the caller was told is held
//      against what is in the table.
//   2. Whose query was killed? Queries are cancelled about when they end; who runs the next query on
//      that connection?
//   3. What does the server still run after Ctrl-C?
//
// The contenders are written as people write them: `pg` with Promise.race and a cancel through the
// pool, Kysely with its AbortSignal, Kysely and Drizzle with one line changed, Effect with
// `Effect.timeout` (its packages have a lock file in this folder), asyncpg in a process of its own
// where Debian's python3-asyncpg is installed, and this library.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as asyncio from "asyncio-ts";
import { sql as drizzleSql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { Kysely, sql as kyselySql, PostgresDialect } from "kysely";
import pg from "pg";
import { type Database, sql } from "../src/index.ts";
import { dialect } from "../src/kysely.ts";
import { PgPool } from "../src/pg.ts";
import { connect } from "../src/postgres.ts";
import { startPostgres } from "../src/testing.ts";
import { python, versionOfAsyncpg } from "./python.ts";

const ROUNDS = Number(process.argv[2] ?? 400);
const LANES = 4;

interface Contender {
  readonly name: string;
  /** Inserts `id` in a transaction of a few milliseconds, with a deadline. True: it has committed. */
  transfer(id: number, seconds: number): Promise<boolean>;
  /** Runs a query of 3 ms with a deadline. */
  query?(seconds: number): Promise<unknown>;
  /** Runs a short query, which nobody cancels. */
  innocent?(): Promise<unknown>;
}

interface Schema {
  told: { id: number; who: string };
}

/** A race leaves the loser running, and its connection busy. */
async function race<T>(seconds: number, work: Promise<T>): Promise<T> {
  work.catch(() => {});
  const late = delay(seconds * 1000, undefined, { ref: false }).then(() => {
    throw new Error("too late");
  });
  return await Promise.race([work, late]);
}

function withPg(pool: pg.Pool, who: string): Contender {
  return {
    name: "pg, Promise.race",
    transfer: (id, seconds) =>
      yes(
        race(
          seconds,
          (async () => {
            const client = await pool.connect();
            try {
              await client.query("begin");
              await client.query("insert into told values ($1, $2)", [id, who]);
              await client.query("select pg_sleep(0.002)");
              await client.query("commit");
            } catch (error) {
              await client.query("rollback");
              throw error;
            } finally {
              client.release();
            }
          })(),
        ),
      ),
    query: async (seconds) => {
      const client = await pool.connect();
      const { processID } = client as unknown as { processID: number };
      const timer = setTimeout(() => {
        pool.query("select pg_cancel_backend($1)", [processID]).catch(() => {});
      }, seconds * 1000);
      try {
        await client.query("select pg_sleep(0.003)");
      } finally {
        clearTimeout(timer);
        client.release();
      }
    },
    innocent: () => pool.query("select pg_sleep(0.0005)"),
  };
}

function withKysely(kysely: Kysely<Schema>, who: string, name: string): Contender {
  return {
    name,
    transfer: (id, seconds) => {
      const options = { signal: AbortSignal.timeout(Math.ceil(seconds * 1000)) };
      return yes(
        kysely.transaction().execute(async (tx) => {
          await tx.executeQuery(tx.insertInto("told").values({ id, who }).compile(), options);
          await tx.executeQuery(kyselySql`select pg_sleep(0.002)`.compile(tx), options);
        }),
      );
    },
  };
}

const told = pgTable("told", { id: integer("id"), who: integer("who") });

function withDrizzle(db: Database, who: string): Contender {
  const client = drizzle(new PgPool(db) as never);
  return {
    name: "Drizzle, on ours",
    transfer: (id, seconds) =>
      yes(
        asyncio.timeout(seconds, () =>
          client.transaction(async (tx) => {
            await tx.execute(drizzleSql`insert into ${told} values (${id}, ${who})`);
            await tx.execute(drizzleSql`select pg_sleep(0.002)`);
          }),
        ),
      ),
  };
}

function withOurs(db: Database, who: string): Contender {
  return {
    name: "asyncio-ts-db",
    transfer: (id, seconds) =>
      yes(
        asyncio.timeout(seconds, () =>
          db.transaction(async (tx) => {
            await tx.execute(sql`insert into told values (${id}, ${who})`);
            await tx.query(sql`select pg_sleep(0.002)`);
          }),
        ),
      ),
    query: (seconds) => asyncio.moveOnAfter(seconds, () => db.query(sql`select pg_sleep(0.003)`)),
    innocent: () => db.query(sql`select pg_sleep(0.0005)`),
  };
}

/** Effect, where its packages are installed: they are not among those of this package. */
async function withEffect(url: string, who: string): Promise<Closing | undefined> {
  if (!hasEffect) return undefined;
  const module: { withEffect(url: string, who: string, max: number): Closing } = await import(
    new URL("with-effect.ts", import.meta.url).href
  );
  return module.withEffect(url, who, LANES);
}

const hasEffect = existsSync(new URL("node_modules/effect", import.meta.url));

interface Closing extends Contender {
  close(): Promise<void>;
}

function yes(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

async function inLanes(one: (n: number) => Promise<void>): Promise<void> {
  await asyncio.taskGroup(async (group) => {
    for (let lane = 0; lane < LANES; lane++)
      group.createTask(async () => {
        for (let n = lane; n < ROUNDS; n += LANES) await one(n);
      });
  });
}

/** How often the answer was wrong. */
async function countLies(contender: Contender, who: string, observer: pg.Client): Promise<string> {
  const answers = new Map<number, boolean>();
  await inLanes(async (n) => {
    answers.set(n, await contender.transfer(n, 0.0005 + 0.012 * ((n * 0.618) % 1)));
  });
  return await compare(answers, who, observer);
}

async function compare(
  answers: ReadonlyMap<number, boolean>,
  who: string,
  observer: pg.Client,
): Promise<string> {
  await delay(200); // what was left behind may still commit
  const { rows } = await observer.query("select id from told where who = $1", [who]);
  const there = new Set(rows.map(({ id }) => id));
  const lies = [...answers].filter(([id, answer]) => there.has(id) !== answer).length;
  return `${lies} of ${answers.size}`;
}

/** Both counts of asyncpg, which is told the same deadlines. */
async function countInPython(url: string, observer: pg.Client): Promise<readonly [string, string]> {
  const who = "asyncpg";
  const program = fileURLToPath(new URL("told-asyncpg.py", import.meta.url));
  const args = [program, url, who, String(ROUNDS), String(LANES)];
  const { stdout } = await promisify(execFile)(python, args);
  const { answers, dead } = JSON.parse(stdout) as {
    readonly answers: Readonly<Record<string, boolean>>;
    readonly dead: number;
  };
  const told = new Map(Object.entries(answers).map(([id, answer]) => [Number(id), answer]));
  return [await compare(told, who, observer), `${dead} of ${ROUNDS}`];
}

/** How many queries died that nobody had cancelled. */
async function countInnocents({ query, innocent }: Contender): Promise<string> {
  if (query === undefined || innocent === undefined) return "-";
  let dead = 0;
  await inLanes(async (n) => {
    await query(0.002 + 0.003 * ((n * 0.618) % 1)).catch(() => {});
    await innocent().catch(() => dead++);
  });
  return `${dead} of ${ROUNDS}`;
}

/** What the server still runs 100 ms after SIGINT, and how the program has ended. */
async function interrupt(program: string, url: string, observer: pg.Client): Promise<string> {
  const path = fileURLToPath(new URL(`interrupted-${program}`, import.meta.url));
  const isPython = program.endsWith(".py"); // which prints a traceback
  const child = spawn(isPython ? python : process.execPath, [path], {
    env: { ...process.env, DATABASE_URL: url },
    stdio: ["ignore", "ignore", isPython ? "ignore" : "inherit"],
  });
  const ended = new Promise<string>((resolve) =>
    child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`)),
  );
  const count = async (): Promise<number> => {
    const { rows } = await observer.query(
      "select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(30)%' and state = 'active' and pid <> pg_backend_pid()",
    );
    return rows[0].n;
  };
  while ((await count()) < 3) {
    if (child.exitCode !== null) throw new Error(`${program} has ended: ${await ended}`);
    await delay(20);
  }
  child.kill("SIGINT");
  await delay(100);
  const soon = await count();
  const end = await ended;
  const left = await count();
  await observer.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
  );
  return `${`${soon} of 3`.padEnd(16)}${`${left} of 3`.padEnd(21)}${end}`;
}

async function main(): Promise<void> {
  await using server = await startPostgres();
  const observer = new pg.Client(server.url());
  await observer.connect();
  await observer.query("create table told (id int, who text)");
  const pool = new pg.Pool({ connectionString: server.url(), max: LANES });
  await using db = await connect(server.url(), { max: LANES });
  const effect = await withEffect(server.url(), "5");
  const contenders: Contender[] = [
    withPg(pool, "0"),
    withKysely(
      new Kysely({ dialect: new PostgresDialect({ pool }) }),
      "1",
      "Kysely's signal, on pg",
    ),
    withKysely(new Kysely({ dialect: dialect(db) }), "2", "Kysely's signal, on ours"),
    withDrizzle(db, "3"),
    withOurs(db, "4"),
    ...(effect === undefined ? [] : [effect]),
  ];
  console.log(`${"".padEnd(26)}${"told wrong".padEnd(16)}innocents killed`);
  for (const [who, contender] of contenders.entries()) {
    const lies = await countLies(contender, String(who), observer);
    const dead = await countInnocents(contender);
    console.log(`${contender.name.padEnd(26)}${lies.padEnd(16)}${dead}`);
  }
  const asyncpg = versionOfAsyncpg();
  if (asyncpg !== undefined) {
    const [lies, dead] = await countInPython(server.url(), observer);
    console.log(`${`asyncpg ${asyncpg}`.padEnd(26)}${lies.padEnd(16)}${dead}`);
  }
  console.log(
    `\n${"Ctrl-C".padEnd(26)}${"100 ms after".padEnd(16)}${"when it has ended".padEnd(21)}by`,
  );
  for (const [program, name] of [
    ["pg.ts", "pg"],
    ...(hasEffect ? [["effect.ts", "Effect"] as const] : []),
    ...(asyncpg === undefined ? [] : [["asyncpg.py", `asyncpg ${asyncpg}`] as const]),
    ["ours.ts", "asyncio-ts-db"],
  ] as const)
    console.log(`${name.padEnd(26)}${await interrupt(program, server.url(), observer)}`);
  if (asyncpg === undefined) console.log("\nleft out: asyncpg (apt-get install python3-asyncpg)");
  if (!hasEffect) console.log("\nleft out: Effect (npm run demo installs it)");
  await effect?.close();
  await pool.end();
  await observer.end();
}

await asyncio.run(main);
