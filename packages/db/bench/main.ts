// `npm run bench` in this folder: what the library costs beside the driver that it stands on. A
// server of its own, all contenders in one run. They take short turns, in an order that moves on from
// round to round; each turn is compared with the other's of the same round, and the median of those
// ratios is told, with the range of their middle half. So what the machine does beside hits both.
//
//   npm run bench -- [rounds] [words: of the rows those with one of them in their name]

import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import pg from "pg";
import { python, versionOfAsyncpg } from "../demo/python.ts";
import { type Database, sql } from "../src/index.ts";
import { connect, type PostgresOptions } from "../src/postgres.ts";
import { startPostgres } from "../src/testing.ts";
import { writeCertificate } from "../test/certificate.ts";
import { buildings, TABLE } from "./builders.ts";

const [rounds = "15", ...words] = process.argv.slice(2);
const ROUNDS = Number(rounds);
/** Rounds in which everybody warms up: the plans of the servers, and the code of the engine. */
const WARM_UP = 4;
/** In one turn. */
const QUERIES = 1500;
const TASKS = 32;
const CANCELS = 50;

interface Contender {
  readonly name: string;
  /** Takes a turn, and gives its seconds. */
  turn(): Promise<number>;
}

/** What is measured. The last contender's turns are compared with those of all others. */
interface Measure {
  readonly name: string;
  readonly contenders: readonly Contender[];
}

function contender(name: string, run: () => Promise<void>): Contender {
  const turn = async (): Promise<number> => {
    const startedAt = performance.now();
    await run();
    return (performance.now() - startedAt) / 1000;
  };
  return { name, turn };
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

/**
 * asyncpg with uvloop, in a process of its own, which measures its turns by itself; undefined where
 * it is not installed.
 */
function withAsyncpg(url: string): (Contender & { end(): void }) | undefined {
  if (versionOfAsyncpg("uvloop") === undefined) return undefined;
  const program = fileURLToPath(new URL("with-asyncpg.py", import.meta.url));
  const child = spawn(python, [program, url, String(QUERIES / 2), String(TASKS)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  return {
    name: "asyncpg with uvloop",
    turn: () =>
      new Promise((resolve, reject) => {
        const ended = (): void => reject(new Error("asyncpg has ended"));
        child.once("close", ended);
        lines.once("line", (line) => {
          child.off("close", ended);
          resolve(Number(line));
        });
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
  const certificate = writeCertificate();
  try {
    // Nothing but what is asked of it: no statistics, no vacuum in somebody's turn.
    const tls = certificate.lacks === false ? certificate.settings : {};
    const settings = { ...tls, autovacuum: "off", checkpoint_timeout: "1h" };
    await using server = await startPostgres({ settings });
    const url = server.url();
    await compare(url);
    if (isWanted("cancelled to joined")) {
      await cancelLatency("cancelled to joined", url, server.port);
      if (certificate.lacks === false)
        await cancelLatency("the same, over TLS", url, undefined, certificate.tls());
    }
  } finally {
    certificate.remove();
  }
}

const isWanted = (name: string): boolean =>
  words.length === 0 || words.some((word) => name.includes(word));

async function compare(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 8 });
  await using db = await connect(url, { max: 8 });
  const asyncpg = withAsyncpg(url);
  await db.execute(TABLE);
  await db.execute(sql`create index on numbers (n)`);
  await db.execute(sql`vacuum analyze numbers`);
  for (const measure of measures(pool, db, asyncpg))
    if (isWanted(measure.name)) report(measure, await takeTurns(measure.contenders));
  asyncpg?.end();
  if (isWanted("rows streamed")) await memory(db);
  await pool.end();
}

function measures(pool: pg.Pool, db: Database, asyncpg: Contender | undefined): Measure[] {
  const text = "select $1::int as n";
  const ours = (options?: { prepare: boolean }) => (n: number) =>
    db.query(sql`select ${n}::int as n`, options);
  const queries = (name: string, one: (n: number) => Promise<unknown>): Contender =>
    contender(name, () => shared(QUERIES, one));
  const transactions = (name: string, one: (n: number) => Promise<unknown>): Contender =>
    contender(name, () => shared(QUERIES / 2, one));
  const built = buildings(pool, db);
  return [
    {
      name: "one query, unnamed",
      contenders: [
        queries("pg.Pool", (n) => pool.query(text, [n])),
        queries("ours", ours({ prepare: false })),
      ],
    },
    {
      name: "one query, prepared",
      contenders: [
        queries("pg.Pool", (n) => pool.query({ name: "q", text, values: [n] })),
        queries("ours", ours()),
      ],
    },
    {
      name: "prepared, a deadline",
      contenders: [
        queries("pg.Pool", (n) => pool.query({ name: "q", text, values: [n] })),
        queries("ours", (n) => asyncio.timeout(10, () => ours()(n))),
      ],
    },
    {
      name: "begin, select, commit",
      contenders: [
        transactions("pg.Pool", () => byHand(pool)),
        ...(asyncpg === undefined ? [] : [asyncpg]),
        transactions("ours", () => db.transaction((tx) => tx.query(sql`select ${1}::int as n`))),
      ],
    },
    ...["Kysely", "Drizzle"].flatMap((builder) => {
      const both = built.filter((one) => one.builder === builder);
      const contenders = (run: "query" | "transaction"): readonly Contender[] =>
        both.map((one) => transactions(one.on, (n) => one[run](n % 3000)));
      return [
        { name: `${builder}, one query`, contenders: contenders("query") },
        { name: `${builder}, transaction`, contenders: contenders("transaction") },
      ];
    }),
    {
      name: "200,000 rows",
      contenders: [
        contender(
          "pg.Pool, all at once",
          async () => void (await pool.query("select n from generate_series(1, 200000) as n")),
        ),
        contender("ours, streamed", () => streamed(db)),
      ],
    },
  ];
}

/** The seconds of all turns, by contender. */
async function takeTurns(
  contenders: readonly Contender[],
): Promise<ReadonlyMap<Contender, readonly number[]>> {
  const times = new Map(contenders.map((one) => [one, [] as number[]]));
  for (let round = -WARM_UP; round < ROUNDS; round++)
    for (let place = 0; place < contenders.length; place++) {
      const one = contenders[(round + WARM_UP + place) % contenders.length] as Contender;
      const seconds = await one.turn();
      if (round >= 0) times.get(one)?.push(seconds);
    }
  return times;
}

function report(
  { name, contenders }: Measure,
  times: ReadonlyMap<Contender, readonly number[]>,
): void {
  const last = contenders.at(-1) as Contender; // there are two or more
  const own = times.get(last) ?? [];
  for (const other of contenders.slice(0, -1)) {
    const ratios = (times.get(other) ?? []).map((seconds, round) => seconds / (own[round] ?? 0));
    const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(2));
    const what = `${last.name} beside ${other.name}`;
    console.log(`${name.padEnd(24)} ${what.padEnd(34)} ${middle}  (${low} to ${high})`);
  }
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
async function cancelLatency(
  name: string,
  url: string,
  port: number | undefined,
  tls?: PostgresOptions["tls"],
): Promise<void> {
  await using ahead = await connect(url, { max: 1, tls });
  await using fresh = await connect(url, { max: 1, tls, standby: false });
  const arms: readonly (readonly [string, () => Promise<number>])[] = [
    ["ours", () => cancelled(ahead)],
    ["ours, no standby", () => cancelled(fresh)],
    ...(port === undefined ? [] : ([["the server alone", () => farewell(port)]] as const)),
  ];
  const times = new Map(arms.map(([arm]) => [arm, [] as number[]]));
  for (let n = 0; n < CANCELS; n++)
    for (const [arm, run] of arms) times.get(arm)?.push(await run());
  for (const [arm, all] of times) {
    const [middle, late] = [0.5, 0.95].map((part) => quantile(all, part).toFixed(1));
    const figures = `median ${middle} ms, 95 % within ${late} ms`;
    console.log(`${name.padEnd(24)} ${arm.padEnd(34)} ${figures}`);
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

/** @param part - 0.5 for the median */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(part * sorted.length)] ?? Number.NaN;
}

await asyncio.run(main);
