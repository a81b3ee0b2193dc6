// More of the network than the one echo of network.ts: messages of other sizes on other numbers of
// connections, TLS, a gibibyte through one connection, lines of text, and a Redis-like server. What
// is compared is how much comes through in a second, ours with native round by round.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Implementation, reference } from "./contenders.ts";
import { Conversation } from "./conversation.ts";
import { lineReader } from "./lines.ts";
import { EchoPair, type EchoPlan } from "./network.ts";
import { inThisFolder, trackProgram } from "./program.ts";
import type { Selection } from "./selection.ts";

const kibibyte = 1024;

interface Line {
  readonly what: string;
  readonly unit: "messages/s" | "MB/s" | "lines/s" | "commands/s";
  /** The least that ours may do, as a part of native. */
  readonly aim: number;
  readonly plan: EchoPlan;
  /** In a round. @default the usual number */
  readonly turns?: number;
}

/**
 * How often the servers of a line take turns in a round. All of them are up, warm, and idle but for
 * one: what slows the machine for a moment then slows neighbours, whose ratio is what counts.
 */
const turns = 5;

/** Messages in a turn, on all connections: so many that it takes some tenths of a second. */
const messagesAtMost = { 64: 20_000, 1024: 20_000, 65536: 4000 };
/**
 * So many times as many messages in a turn of large ones on many connections, and as many turns.
 * Their buffers fill the heap until a major collection comes. A short turn has few collections, so
 * two short turns of the same server differ by up to a half.
 */
const longer = 2;
/** Turns that nobody measures, before the first: code is compiled and memory found by then. */
const warmUpTurns = 3;

const sizes: readonly Line[] = ([64, 1024, 65_536] as const).flatMap((messageBytes) =>
  [1, 50, 1000].map((connections): Line => {
    const isLong = messageBytes === 65_536 && connections === 1000;
    const all = messagesAtMost[messageBytes] * (isLong ? longer : 1);
    const messages = (connections === 1 ? all / 2 : all) / connections;
    const size = messageBytes < kibibyte ? `${messageBytes} B` : `${messageBytes / kibibyte} KiB`;
    return {
      what: `echo of ${size}, ${connections.toLocaleString("en")} at a time`,
      unit: "messages/s",
      aim: 0.9,
      plan: { connections, messageBytes, warmUp: warmUpTurns * messages, messages },
      turns: isLong ? longer * turns : turns,
    };
  }),
);

const lines: readonly Line[] = [
  ...sizes,
  {
    what: "echo of 1 KiB, 50 at a time, TLS",
    unit: "messages/s",
    aim: 0.9,
    plan: { connections: 50, messageBytes: kibibyte, warmUp: 600, messages: 200, tls: true },
  },
  {
    what: "1 GiB there and back, one connection",
    unit: "MB/s",
    aim: 0.95,
    plan: {
      connections: 1,
      messageBytes: 64 * kibibyte,
      warmUp: kibibyte,
      messages: 16 * kibibyte,
      streams: true,
    },
  },
];

const by: readonly Implementation[] = [reference, "ours", "uvloop"];

/** What is asked of redis-benchmark. */
const redisLines = [1, 16].flatMap((pipelined) =>
  ["SET", "GET"].map((command) => ({ command, pipelined })),
);
/** More would take longer than all else, and each round has several turns. */
const mostRounds = 2;
/** For what has no program in Python. */
const onNode = [reference, "ours"] as const;

export interface TrafficResult {
  readonly what: string;
  readonly unit: Line["unit"];
  readonly aim: number;
  /** How much in a second, one figure for each turn of each round. */
  readonly rounds: Readonly<Partial<Record<Implementation, readonly number[]>>>;
}

export async function measureTraffic(
  quick: boolean,
  wantedRounds: number,
  selection: Selection,
): Promise<TrafficResult[]> {
  const rounds = Math.min(wantedRounds, mostRounds);
  const results: TrafficResult[] = [];
  // A smoke run starts two programs for each figure: one small and one large message are enough.
  const some = quick ? [...sizes.slice(0, 1), ...sizes.slice(-1), ...lines.slice(-2)] : lines;
  for (const { what, unit, aim, plan, turns: inRound = turns } of some) {
    const wanted = by.filter((found) => selection.includes(found));
    const planned = quick ? quickly(plan) : plan;
    const messages = await echoInTurns(rounds, quick ? turns : inRound, wanted, planned, selection);
    const perUnit = unit === "MB/s" ? plan.messageBytes / 1e6 : 1;
    const measured = mapFigures(messages, (found) => found * perUnit);
    results.push({ what, unit, aim, rounds: measured });
  }
  const rates = await inRounds(
    rounds,
    turns,
    onNode.filter((found) => selection.includes(found)),
    (implementation, started) => lineReader(implementation, quick, started),
  );
  const what = "lines of 80 bytes, one after the other";
  results.push({ what, unit: "lines/s", aim: 1, rounds: rates });
  return [...results, ...(await measureRedis(quick, rounds, selection))];
}

function quickly(plan: EchoPlan): EchoPlan {
  return { ...plan, connections: Math.min(plan.connections, 3), warmUp: 1, messages: 3 };
}

/** redis-benchmark is a program of its own; where it is not, there are no such lines. */
async function measureRedis(
  quick: boolean,
  rounds: number,
  selection: Selection,
): Promise<TrafficResult[]> {
  if (!(await hasRedisBenchmark())) return [];
  const results: TrafficResult[] = [];
  const wanted = onNode.filter((found) => selection.includes(found));
  for (const { command, pipelined } of quick ? redisLines.slice(-1) : redisLines) {
    const requests = quick ? 500 : 50_000 * Math.sqrt(pipelined);
    const measured = await inRounds(rounds, turns, wanted, async (implementation, started) => {
      const program = inThisFolder(`network/redis/${implementation}.ts`);
      const server = started.use(new Conversation(process.execPath, ["--expose-gc", program]));
      const { port } = (await server.answer()) as { port: number }; // a server says so first
      const ask = (): Promise<number> => askRedis(port, command, pipelined, requests);
      await ask();
      return ask;
    });
    const what = `Redis-like: ${command}, ${pipelined === 1 ? "one" : pipelined} at a time on each of 50`;
    results.push({ what, unit: "commands/s", aim: 0.85, rounds: measured });
  }
  return results;
}

async function hasRedisBenchmark(): Promise<boolean> {
  try {
    await promisify(execFile)("redis-benchmark", ["--version"]);
    return true;
  } catch {
    return false;
  }
}

/** Commands answered in a second. */
async function askRedis(
  port: number,
  command: string,
  pipelined: number,
  requests: number,
): Promise<number> {
  const numbers = ["-p", port, "-n", requests, "-c", 50, "-P", pipelined].map(String);
  const args = [...numbers, "-t", command.toLowerCase(), "--csv"];
  const running = promisify(execFile)("redis-benchmark", args, { timeout: 120_000 });
  trackProgram(running.child);
  const { stdout } = await running;
  const rate = new RegExp(`^"${command}","([\\d.]+)"`, "m").exec(stdout)?.[1];
  if (rate === undefined)
    throw new Error(`redis-benchmark gives no rate of ${command}:\n${stdout}`);
  return Number(rate);
}

/** Messages in a second, one figure for each turn of each round. */
async function echoInTurns(
  rounds: number,
  turnsInRound: number,
  implementations: readonly Implementation[],
  plan: EchoPlan,
  selection: Selection,
): Promise<TrafficResult["rounds"]> {
  return await inRounds(rounds, turnsInRound, implementations, async (implementation, started) => {
    const pair = started.use(await EchoPair.start(implementation, plan, selection));
    await pair.warmUp();
    return async () => (await pair.exchange()).messagesPerSecond;
  });
}

/**
 * One figure for each turn of each round. In a round the servers are new: `start` starts one, has
 * it warmed up, and gives what measures a turn of it.
 */
async function inRounds<By extends Implementation>(
  rounds: number,
  turnsInRound: number,
  implementations: readonly By[],
  start: (by: By, started: AsyncDisposableStack) => Promise<() => Promise<number>>,
): Promise<TrafficResult["rounds"]> {
  const found: Partial<Record<Implementation, number[]>> = {};
  for (const implementation of implementations) found[implementation] = [];
  for (let round = 0; round < rounds; round++) {
    await using started = new AsyncDisposableStack();
    const measures = new Map<By, () => Promise<number>>();
    for (const implementation of implementations)
      measures.set(implementation, await start(implementation, started));
    const inTurns = await inTurn(turnsInRound, implementations, async (implementation) => {
      return await (measures.get(implementation) as () => Promise<number>)(); // each has one
    });
    for (const implementation of implementations)
      found[implementation]?.push(...(inTurns[implementation] ?? []));
  }
  return found;
}

function mapFigures(
  rounds: TrafficResult["rounds"],
  change: (figure: number) => number,
): TrafficResult["rounds"] {
  const entries = Object.entries(rounds).map(([by, figures]) => [by, figures.map(change)]);
  return Object.fromEntries(entries) as TrafficResult["rounds"]; // of the same implementations
}

/** Who goes first changes from round to round. */
async function inTurn<By extends Implementation>(
  rounds: number,
  implementations: readonly By[],
  measure: (implementation: By) => Promise<number>,
): Promise<TrafficResult["rounds"]> {
  const found: Partial<Record<Implementation, number[]>> = {};
  for (const implementation of implementations) found[implementation] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? implementations : implementations.toReversed();
    for (const implementation of order) found[implementation]?.push(await measure(implementation));
  }
  return found;
}
