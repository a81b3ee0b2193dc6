// The demonstrations: what a table of nanoseconds does not show. Each runs in processes of its own.

import {
  type FairnessFinding,
  type FairnessPlan,
  type SpinKind,
  spins,
} from "./demonstrations/fairness/spin.ts";
import type { TimerHeapFinding } from "./demonstrations/timer-heap.ts";
import { runProgram } from "./program.ts";
import type { Size } from "./workload.ts";

/** Cancelled timers must never take more than this in the heap, however many are set. */
export const mostTimerEntries = 10_000;

/**
 * What is measured beside the cases; the others are in growth.ts, memory.ts, weight.ts,
 * network.ts, traffic.ts and fetches.ts.
 */
export const demonstrationNames = [
  "growth",
  "memory",
  "weight",
  "echo",
  "idle",
  "traffic",
  "fetches",
  "timer-heap",
  "fairness",
] as const;

/** The demonstrations compare our loop with the bare host. */
const implementations = ["ours", "native"] as const;

export interface TimerHeapResult extends TimerHeapFinding {
  readonly limit: number;
  readonly held: boolean;
}

type Findings = Record<(typeof implementations)[number], FairnessFinding>;

export interface FairnessResult {
  readonly spin: SpinKind;
  readonly plan: FairnessPlan;
  readonly findings: Readonly<Findings>;
}

export async function showTimerHeap(quick: boolean): Promise<TimerHeapResult> {
  const size: Size = { tasks: 1000, repeats: quick ? 20 : 1000 };
  const printed = await runProgram("demonstrations/timer-heap.ts", JSON.stringify(size));
  const finding = printed as TimerHeapFinding; // it prints nothing else
  const held = finding.mostEntries < mostTimerEntries;
  return { ...finding, limit: mostTimerEntries, held };
}

export async function showFairness(quick: boolean): Promise<FairnessResult[]> {
  const results: FairnessResult[] = [];
  for (const spin of spins) {
    const plan = { spin, tasks: 1000, timers: quick ? 3 : 50, limitMs: quick ? 500 : 2000 };
    const findings: Partial<Findings> = {};
    for (const implementation of implementations) {
      const program = `demonstrations/fairness/${implementation}.ts`;
      const printed = await runProgram(program, JSON.stringify(plan));
      findings[implementation] = printed as FairnessFinding; // it prints nothing else
    }
    // The loop has filled in all of them.
    results.push({ spin, plan, findings: findings as Findings });
  }
  return results;
}
