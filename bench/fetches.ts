// What programs do, from end to end: ten thousand pages from a local server, a hundred at a time,
// each with a deadline, every tenth an error; and once more, with all of it cancelled in the
// middle.

import { type Implementation, isGuest } from "./contenders.ts";
import { Conversation } from "./conversation.ts";
import type { FetchFinding, FetchPlan } from "./fetches/stage.ts";
import type { Usage } from "./network/service.ts";
import { inThisFolder } from "./program.ts";
import type { Selection } from "./selection.ts";

const implementations: readonly Implementation[] = ["ours", "p-limit", "effect", "aiohttp"];

export interface FetchRound {
  readonly pagesPerSecond: number;
  readonly peakResidentBytes: number;
  /** From the cancellation until the program has seen the end of everything. */
  readonly cancelMs: number;
  /** Connections that the server has after that, when their number does not change any more. */
  readonly socketsLeft: number;
}

export interface FetchesResult {
  readonly pages: number;
  readonly rounds: Readonly<Partial<Record<Implementation, readonly FetchRound[]>>>;
}

export async function measureFetches(
  quick: boolean,
  rounds: number,
  selection: Selection,
): Promise<FetchesResult> {
  const pages = quick ? 300 : 10_000;
  const wanted = implementations.filter((found) => selection.includes(found));
  const found: Partial<Record<Implementation, FetchRound[]>> = {};
  for (const implementation of wanted) found[implementation] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? wanted : wanted.toReversed();
    for (const implementation of order)
      found[implementation]?.push(await measureOnce(implementation, pages, selection));
  }
  return { pages, rounds: found };
}

/** A moment in which the host of a program may close what it has let go of. */
const momentMs = 200;

/** The connections that a server has, when that number does not change any more. */
async function settled(server: Conversation): Promise<number> {
  let last = -1;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, momentMs));
    const { connections } = (await server.ask("")) as Usage; // this is what a server answers
    if (connections === last) return connections;
    last = connections;
  }
}

async function measureOnce(
  implementation: Implementation,
  pages: number,
  { guests }: Selection,
): Promise<FetchRound> {
  await using server = new Conversation(process.execPath, [
    "--expose-gc",
    inThisFolder("fetches/server.ts"),
  ]);
  const { port } = (await server.answer()) as { port: number }; // a server says so first
  const [executable, file] = isGuest(implementation)
    ? [guests.get(implementation)?.executable ?? "python3", "fetches/with_aiohttp.py"]
    : [process.execPath, `fetches/${implementation}.ts`];
  await using program = new Conversation(executable, [inThisFolder(file)]);
  await program.answer();
  const fetch = async (plan: Omit<FetchPlan, "url">): Promise<FetchFinding> => {
    const whole: FetchPlan = { url: `http://127.0.0.1:${port}`, ...plan };
    return (await program.ask(JSON.stringify(whole))) as FetchFinding; // this is what it answers
  };
  await fetch({ pages: pages / 10 }); // everything is loaded and compiled
  const all = await fetch({ pages });
  const cancelled = await fetch({ pages, cancelAt: pages / 2 });
  const socketsLeft = await settled(server);
  if (all.fetched !== pages * 0.9 || all.failed !== pages * 0.1)
    throw new Error(`${implementation} has fetched ${all.fetched} pages, ${all.failed} failed`);
  if (cancelled.fetched + cancelled.failed >= pages)
    throw new Error(`${implementation} was not cancelled`);
  return {
    pagesPerSecond: pages / all.seconds,
    peakResidentBytes: all.peakResidentBytes,
    cancelMs: cancelled.cancelMs,
    socketsLeft,
  };
}
