// What the programs that fetch share: for each line on the standard input they fetch so many pages,
// and say what came of it.

import { createInterface } from "node:readline";

export interface FetchPlan {
  readonly url: string;
  readonly pages: number;
  /** When so many have come or failed, all of it is cancelled. */
  readonly cancelAt?: number;
}

export interface FetchFinding {
  readonly fetched: number;
  readonly failed: number;
  readonly seconds: number;
  /** From the cancellation until nothing of it runs any more. */
  readonly cancelMs: number;
  readonly peakResidentBytes: number;
}

/** At a time. */
export const limit = 100;
/** For each page; on a busy machine, too, none takes so long. */
export const deadlineSeconds = 60;

/** Told of each page. */
export interface Tally {
  fetched(): void;
  failed(): void;
}

export interface Fetching {
  cancel(): void;
  /** Fulfilled when nothing of it runs any more. */
  readonly ended: PromiseLike<unknown>;
}

/** @param start - Begins to fetch all of them. */
export async function perform(
  start: (urls: readonly string[], tally: Tally) => Fetching,
): Promise<void> {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await measure(start, JSON.parse(line) as FetchPlan))); // fetches.ts sends one
}

async function measure(
  start: (urls: readonly string[], tally: Tally) => Fetching,
  { url, pages, cancelAt }: FetchPlan,
): Promise<FetchFinding> {
  const urls = Array.from({ length: pages }, (_, page) => `${url}/page/${page}`);
  let [fetched, failed] = [0, 0];
  const reached = Promise.withResolvers<void>();
  const look = (): void => {
    if (fetched + failed === cancelAt) reached.resolve();
  };
  const tally: Tally = {
    fetched: () => {
      fetched++;
      look();
    },
    failed: () => {
      failed++;
      look();
    },
  };
  const startedAt = performance.now();
  const { cancel, ended } = start(urls, tally);
  let cancelledAt = Number.NaN;
  if (cancelAt !== undefined) {
    await reached.promise;
    cancelledAt = performance.now();
    cancel();
  }
  await ended;
  const endedAt = performance.now();
  return {
    fetched,
    failed,
    seconds: (endedAt - startedAt) / 1000,
    cancelMs: endedAt - cancelledAt,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  };
}
