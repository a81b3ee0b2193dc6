// What the programs share that run jobs in workers: for each line on the standard input they do one
// of these, and say how long it has taken.

import { createInterface } from "node:readline";

export interface JobPlan {
  readonly what: "sequential" | "pipelined" | "runaway" | "lag";
  /** Where the jobs run. */
  readonly on: "threads" | "processes" | "inline";
  readonly count: number;
}

export interface JobFinding {
  /** For one job; of "lag", how late a timer was at the worst, and of "runaway", the median. */
  readonly microseconds: number;
}

/** Workers of each pool. */
export const workers = 2;
/** Of "pipelined", in one measurement. */
const bursts = 4;
/** What a runaway is given before it is stopped. */
export const patienceMs = 30;
export const endless = ["^(a+)+$", `${"a".repeat(40)}b`] as const;
export const quick = ["^a+$", "aaa"] as const;
/** What a job of "lag" takes, and how long a timer of it waits. */
export const burnMs = 100;
const tickMs = 5;

/** One kind of workers. */
export interface Pool {
  /** The least that a job can do. */
  same(n: number): Promise<number>;
  burn?(ms: number): Promise<number>;
  /** Checks a pattern; `ms` is what that may take. */
  check?(pattern: string, text: string, ms?: number): Promise<boolean>;
}

/** @param poolOn - Gives the same pool each time. */
export async function perform(poolOn: (on: JobPlan["on"]) => Pool): Promise<void> {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    const plan = JSON.parse(line) as JobPlan; // executors.ts sends one
    const microseconds = await measures[plan.what](poolOn(plan.on), plan.count);
    console.log(JSON.stringify({ microseconds } satisfies JobFinding));
  }
}

const measures: Record<JobPlan["what"], (pool: Pool, count: number) => Promise<number>> = {
  /** One after the other: each waits for the one before it. */
  async sequential(pool, count) {
    const startedAt = performance.now();
    for (let n = 0; n < count; n++) await pool.same(n);
    return perJob(startedAt, count);
  },

  /** So many at once, some times over: the collector comes now and then. */
  async pipelined(pool, count) {
    const startedAt = performance.now();
    for (let burst = 0; burst < bursts; burst++)
      await Promise.all(Array.from({ length: count }, (_, n) => pool.same(n)));
    return perJob(startedAt, count * bursts);
  },

  /**
   * From the moment in which a check that never ends has had its time until a good one has its
   * answer, with as many lanes as there are workers.
   */
  async runaway({ check }, count) {
    const late: number[] = [];
    const lane = async (): Promise<void> => {
      for (let n = 0; n < count / workers; n++) {
        const startedAt = performance.now();
        await check?.(...endless, patienceMs).catch(() => {});
        await check?.(...quick);
        late.push(performance.now() - startedAt - patienceMs);
      }
    };
    await Promise.all(Array.from({ length: workers }, () => check?.(...quick)));
    await Promise.all(Array.from({ length: workers }, lane));
    return (late.sort((a, b) => a - b)[late.length >> 1] ?? 0) * 1000;
  },

  /** How late timers are while jobs keep as many processors busy as there are workers. */
  async lag({ burn }, count) {
    let [worst, due] = [0, performance.now() + tickMs];
    const timer = setInterval(() => {
      worst = Math.max(worst, performance.now() - due);
      due = performance.now() + tickMs;
    }, tickMs);
    await new Promise((resolve) => setTimeout(resolve, 2 * tickMs));
    const lane = async (): Promise<void> => {
      for (let n = 0; n < count; n++) {
        await burn?.(burnMs);
        await new Promise((resolve) => setTimeout(resolve)); // a turn of the host
      }
    };
    await Promise.all(Array.from({ length: workers }, lane));
    clearInterval(timer);
    return worst * 1000;
  },
};

function perJob(startedAt: number, count: number): number {
  return ((performance.now() - startedAt) / count) * 1000;
}
