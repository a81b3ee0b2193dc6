// How much memory a task takes while it waits, and after it has ended. Each in a process of its
// own.

import { freemem } from "node:os";
import { type Implementation, isGuest } from "./contenders.ts";
import type { MemoryFinding, MemoryPlan } from "./memory/stage.ts";
import { inThisFolder, runCommand, runLargeProgram } from "./program.ts";
import type { Selection } from "./selection.ts";

export const memoryKinds = ["sleeping", "parked", "finished"] as const;
export type MemoryKind = (typeof memoryKinds)[number];

interface Subject {
  readonly kind: MemoryKind;
  readonly by: readonly Implementation[];
  readonly tasks: number;
  readonly quickTasks: number;
  /** The most bytes of heap that ours may take, as a multiple of native. */
  readonly aim?: number;
  /**
   * Those who take minutes, or more memory than machines have, for so many: they start only so
   * many.
   */
  readonly fewer: Readonly<Partial<Record<Implementation, number>>>;
}

const subjects: readonly Subject[] = [
  {
    kind: "sleeping",
    by: ["native", "ours", "effect", "effection", "asyncio", "trio", "go"],
    tasks: 1_000_000,
    quickTasks: 500,
    aim: 1.85,
    fewer: { effect: 200_000, effection: 10_000, trio: 100_000 },
  },
  {
    kind: "parked",
    by: ["native", "ours", "effect", "asyncio"],
    tasks: 200_000,
    quickTasks: 500,
    aim: 2.6,
    fewer: {},
  },
  {
    kind: "finished",
    by: ["ours", "asyncio"],
    tasks: 1_000_000,
    quickTasks: 2000,
    fewer: { asyncio: 200_000 },
  },
];

export interface MemoryResult {
  readonly kind: MemoryKind;
  readonly aim?: number;
  readonly findings: Readonly<Partial<Record<Implementation, MemoryFinding & MemoryPlan>>>;
}

/**
 * Longer than it takes to start a million on most machines; asyncio needs more. Where it is not,
 * they sleep again, longer.
 */
const sleepSeconds = 4;
const pythonSleepSeconds = 12;
const quickSleepSeconds = 0.5;

/** A million goroutines or tasks of asyncio take up to 3 GiB. */
const roomForMillion = 6 * 2 ** 30;

export async function measureMemory(quick: boolean, selection: Selection): Promise<MemoryResult[]> {
  const most = freemem() < roomForMillion ? 100_000 : Number.POSITIVE_INFINITY;
  const results: MemoryResult[] = [];
  for (const { kind, by, tasks, quickTasks, aim, fewer } of subjects) {
    const findings: Partial<Record<Implementation, MemoryFinding & MemoryPlan>> = {};
    const measureFor = async (implementation: Implementation): Promise<void> => {
      const count = quick ? quickTasks : Math.min(fewer[implementation] ?? tasks, most);
      let plan: MemoryPlan = { tasks: count, seconds: secondsFor(implementation, quick) };
      let finding = await measure(kind, implementation, plan, selection);
      if (finding.overlapped) {
        plan = { tasks: count, seconds: Math.ceil((2 * finding.startMs) / 1000) };
        finding = await measure(kind, implementation, plan, selection);
      }
      findings[implementation] = { ...plan, ...finding };
    };
    const wanted = by.filter((implementation) => selection.includes(implementation));
    // A smoke run has room for all of them side by side.
    if (quick) await Promise.all(wanted.map(measureFor));
    else for (const implementation of wanted) await measureFor(implementation);
    const inOrder = wanted.map((implementation) => [implementation, findings[implementation]]);
    results.push({
      kind,
      ...(aim === undefined ? {} : { aim }),
      findings: Object.fromEntries(inOrder),
    });
  }
  return results;
}

function secondsFor(implementation: Implementation, quick: boolean): number {
  if (quick) return quickSleepSeconds;
  return implementation === "asyncio" ? pythonSleepSeconds : sleepSeconds;
}

async function measure(
  kind: MemoryKind,
  implementation: Implementation,
  plan: MemoryPlan,
  { guests, goProgram }: Selection,
): Promise<MemoryFinding> {
  const folder = `memory/${kind}`;
  const argument = JSON.stringify(plan);
  // None of these programs prints anything else.
  if (!isGuest(implementation))
    return (await runLargeProgram(`${folder}/${implementation}.ts`, argument)) as MemoryFinding;
  if (implementation === "go") {
    const program = goProgram(`./${folder}/go`);
    return (await runCommand(program, [argument])) as MemoryFinding;
  }
  const python = guests.get(implementation)?.executable ?? "python3";
  const args = [inThisFolder("memory/stage.py"), kind, implementation, argument];
  return (await runCommand(python, args)) as MemoryFinding;
}
