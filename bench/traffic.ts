// More of the network than the one echo of network.ts: messages of other sizes on other numbers of
// connections, TLS, a gibibyte through one connection, lines of text, and a Redis-like server. What
// is compared is how much comes through in a second, ours with native round by round.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Implementation, reference } from "./contenders.ts";
import { Conversation } from "./conversation.ts";
import { readLines } from "./lines.ts";
import { type EchoPlan, echo } from "./network.ts";
import { inThisFolder, trackProgram } from "./program.ts";
import type { Selection } from "./selection.ts";

const kibibyte = 1024;

interface Line {
  readonly what: string;
  readonly unit: "messages/s" | "MB/s" | "lines/s" | "commands/s";
  /** The least that ours may do, as a part of native. */
  readonly aim: number;
  readonly plan: EchoPlan;
}

/** Messages in all, so that each line takes a second or two. */
const messagesAtMost = { 64: 80_000, 1024: 80_000, 65536: 16_000 };

const sizes: readonly Line[] = ([64, 1024, 65_536] as const).flatMap((messageBytes) =>
  [1, 50, 1000].map((connections): Line => {
    const all = connections === 1 ? messagesAtMost[messageBytes] / 4 : messagesAtMost[messageBytes];
    const messages = all / connections;
    const size = messageBytes < kibibyte ? `${messageBytes} B` : `${messageBytes / kibibyte} KiB`;
    return {
      what: `echo of ${size}, ${connections.toLocaleString("en")} at a time`,
      unit: "messages/s",
      aim: 0.9,
      plan: { connections, messageBytes, warmUp: Math.ceil(messages / 4), messages },
    };
  }),
);

const lines: readonly Line[] = [
  ...sizes,
  {
    what: "echo of 1 KiB, 50 at a time, TLS",
    unit: "messages/s",
    aim: 0.9,
    plan: { connections: 50, messageBytes: kibibyte, warmUp: 200, messages: 800, tls: true },
  },
  {
    what: "1 GiB there and back, one connection",
    unit: "MB/s",
    aim: 0.95,
    plan: {
      connections: 1,
      messageBytes: 64 * kibibyte,
      warmUp: 1000,
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
/** For what has no program in Python. */
const onNode = [reference, "ours"] as const;

export interface TrafficResult {
  readonly what: string;
  readonly unit: Line["unit"];
  readonly aim: number;
  /** How much in a second, one figure for each round. */
  readonly rounds: Readonly<Partial<Record<Implementation, readonly number[]>>>;
}

export async function measureTraffic(
  quick: boolean,
  rounds: number,
  selection: Selection,
): Promise<TrafficResult[]> {
  const results: TrafficResult[] = [];
  // A smoke run starts two programs for each figure: one small and one large message are enough.
  const some = quick ? [...sizes.slice(0, 1), ...sizes.slice(-1), ...lines.slice(-2)] : lines;
  for (const { what, unit, aim, plan } of some) {
    const wanted = by.filter((found) => selection.includes(found));
    const planned = quick ? quickly(plan) : plan;
    const measured = await inTurn(rounds, wanted, async (implementation) => {
      const { messagesPerSecond } = await echo(implementation, planned, selection);
      return unit === "MB/s" ? (messagesPerSecond * plan.messageBytes) / 1e6 : messagesPerSecond;
    });
    results.push({ what, unit, aim, rounds: measured });
  }
  const rates = await inTurn(
    rounds,
    onNode.filter((found) => selection.includes(found)),
    (implementation) => readLines(implementation, quick),
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
  for (const { command, pipelined } of quick ? redisLines.slice(-1) : redisLines) {
    const wanted = onNode.filter((found) => selection.includes(found));
    const requests = quick ? 500 : 100_000 * Math.sqrt(pipelined);
    const measured = await inTurn(rounds, wanted, async (implementation) => {
      const program = inThisFolder(`network/redis/${implementation}.ts`);
      await using server = new Conversation(process.execPath, ["--expose-gc", program]);
      const { port } = (await server.answer()) as { port: number }; // a server says so first
      await askRedis(port, command, pipelined, requests / 4);
      return await askRedis(port, command, pipelined, requests);
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
