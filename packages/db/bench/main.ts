// `npm run bench` in this folder: what the library costs beside the driver that it stands on. A
// server of its own, all contenders in one run and in turns, medians of the rounds. Read the ratios:
// the figures themselves are the machine's.

import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import pg from "pg";
import { python, versionOfAsyncpg } from "../demo/python.ts";
import { type Database, sql } from "../src/index.ts";
import { connect } from "../src/postgres.ts";
import { type PostgresServer, startPostgres } from "../src/testing.ts";
import { buildings, TABLE } from "./builders.ts";

const ROUNDS = Number(process.argv[2] ?? 7);
const QUERIES = 3000;
const TASKS = 32;

interface Contender {
  readonly name: string;
  run(): Promise<void>;
}

async function shared(count: number, one: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: TASKS }, worker));
}

async function byHand(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query({ name: "t", text: "select $1::int as n", values: [1] });
    await client.query("commit");
  } finally {
    client.release();
  }
}

/** asyncpg with uvloop, in a process of its own; undefined where it is not installed. */
function withAsyncpg(url: string): (Contender & { end(): void }) | undefined {
  if (versionOfAsyncpg("uvloop") === undefined) return undefined;
  const program = fileURLToPath(new URL("with-asyncpg.py", import.meta.url));
  const child = spawn(python, [program, url, String(QUERIES / 2), String(TASKS)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  return {
    name: "asyncpg with uvloop",
    run: () =>
      new Promise((resolve, reject) => {
        child.once("close", () => reject(new Error("asyncpg has ended")));
        lines.once("line", () => resolve());
        child.stdin.write("round\n");
      }),
    end: () => child.stdin.end(),
  };
}

async function streamed(db: Database): Promise<void> {
  let count = 0;
  for await (const _ of db.stream(sql`select n from generate_series(1, 200000) as n`)) count++;
  if (count !== 200_000) throw new Error(`${count} rows`);
}

async function main(): Promise<void> {
  await using server = await startPostgres();
  const pool = new pg.Pool({ connectionString: server.url(), max: 8 });
  await using db = await connect(server.url(), { max: 8 });
  const asyncpg = withAsyncpg(server.url());
  const text = "select $1::int as n";
  const plain = { prepare: false };
  await db.execute(TABLE);
  await db.execute(sql`create index on numbers (n)`);
  const built = buildings(pool, db);
  const measures: readonly (readonly [string, readonly Contender[]])[] = [
    [
      "one query, unnamed",
      [
        { name: "pg.Pool", run: () => shared(QUERIES, (n) => pool.query(text, [n])) },
        {
          name: "ours",
          run: () => shared(QUERIES, (n) => db.query(sql`select ${n}::int as n`, plain)),
        },
      ],
    ],
    [
      "one query, prepared",
      [
        {
          name: "pg.Pool",
          run: () => shared(QUERIES, (n) => pool.query({ name: "q", text, values: [n] })),
        },
        { name: "ours", run: () => shared(QUERIES, (n) => db.query(sql`select ${n}::int as n`)) },
        {
          name: "ours, a deadline each",
          run: () =>
            shared(QUERIES, (n) => asyncio.timeout(10, () => db.query(sql`select ${n}::int as n`))),
        },
      ],
    ],
    [
      "begin, select, commit",
      [
        { name: "pg.Pool", run: () => shared(QUERIES / 2, () => byHand(pool)) },
        {
          name: "ours",
          run: () =>
            shared(QUERIES / 2, () => db.transaction((tx) => tx.query(sql`select ${1}::int as n`))),
        },
        ...(asyncpg === undefined ? [] : [asyncpg]),
      ],
    ],
    ...["Kysely", "Drizzle"].flatMap((builder) => {
      const both = built.filter((one) => one.builder === builder);
      const contenders = (run: "query" | "transaction"): readonly Contender[] =>
        both.map((one) => ({
          name: one.on,
          run: () => shared(QUERIES / 2, (n) => one[run](n % 3000)),
        }));
      return [
        [`${builder}, one query`, contenders("query")],
        [`${builder}, transaction`, contenders("transaction")],
      ] as const;
    }),
    [
      "200,000 rows",
      [
        {
          name: "pg.Pool, all at once",
          run: async () => void (await pool.query("select n from generate_series(1, 200000) as n")),
        },
        { name: "ours, streamed", run: () => streamed(db) },
      ],
    ],
  ];
  for (const [name, contenders] of measures) {
    const times = new Map(contenders.map((contender) => [contender.name, [] as number[]]));
    for (let round = 0; round <= ROUNDS; round++)
      for (const contender of contenders) {
        const startedAt = performance.now();
        await contender.run();
        if (round > 0) times.get(contender.name)?.push(performance.now() - startedAt); // the first warms up
      }
    const base = median(times.get(contenders[0]?.name ?? "") ?? []);
    for (const { name: who } of contenders) {
      const ratio = base / median(times.get(who) ?? []);
      console.log(`${name.padEnd(24)} ${who.padEnd(24)} ${ratio.toFixed(2)}`);
    }
  }
  asyncpg?.end();
  await cancelLatency(server);
  await memory(db);
  await pool.end();
}

/** How much more memory a million rows take, read one by one. */
async function memory(db: Database): Promise<void> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  let count = 0;
  for await (const _ of db.stream(sql`select n, 'text' as t from generate_series(1, 1000000) as n`))
    if (++count % 10_000 === 0) most = Math.max(most, process.memoryUsage.rss());
  console.log(`${count} rows streamed         +${Math.round((most - before) / 1e6)} MB`);
}

/**
 * From the cancellation of a query that has run for a while to the moment at which its caller goes on:
 * with the connection that stands by, and without. In turns with what the server alone takes for the
 * connection of a cancel request that is for nobody: it starts a process, which closes it.
 */
async function cancelLatency(server: PostgresServer): Promise<void> {
  await using ahead = await connect(server.url(), { max: 1 });
  await using fresh = await connect(server.url(), { max: 1, standby: false });
  const arms: readonly (readonly [string, () => Promise<number>])[] = [
    ["ours", () => cancelled(ahead)],
    ["ours, no standby", () => cancelled(fresh)],
    ["the server alone", () => farewell(server.port)],
  ];
  const times = new Map(arms.map(([name]) => [name, [] as number[]]));
  for (let n = 0; n < 50; n++) for (const [name, run] of arms) times.get(name)?.push(await run());
  for (const [name, all] of times) {
    const late = [...all].sort((a, b) => a - b)[Math.floor(0.95 * all.length)] ?? Number.NaN;
    const figures = `median ${median(all).toFixed(1)} ms, 95 % within ${late.toFixed(1)} ms`;
    console.log(`${"cancelled to joined".padEnd(24)} ${name.padEnd(24)} ${figures}`);
  }
}

async function cancelled(db: Database): Promise<number> {
  const scope = new asyncio.CancelScope();
  const done = scope.run(() => db.query(sql`select pg_sleep(10)`));
  await asyncio.sleep(0.1);
  const startedAt = performance.now();
  scope.cancel();
  await done;
  return performance.now() - startedAt;
}

async function farewell(port: number): Promise<number> {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80_877_102, 4);
  message.writeInt32BE(1, 8);
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    socket.once("connect", () => socket.write(message));
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
  return performance.now() - startedAt;
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

await asyncio.run(main);
