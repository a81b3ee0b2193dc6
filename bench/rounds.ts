// Measures one case: all implementations side by side, each in a fresh process, in several rounds.
// Whatever slows the machine down for a while slows all of them, and what was slow in one round only
// shows as spread. The minimum is what the code costs; the rest is the machine.

import { type Case, type Implementation, implementationsOf, reference } from "./cases.ts";
import type { Measurement } from "./measure-case.ts";
import { runProgram } from "./program.ts";
import type { Size } from "./workload.ts";

/** How thoroughly a case is measured. */
export interface Effort {
  readonly quick: boolean;
  readonly rounds: number;
  /** Timed runs of the workload in one process, after one that is not timed. */
  readonly samples: number;
}

export interface Result {
  /** The fastest sample of all rounds. */
  readonly nanosecondsPerOperation: number;
  /** How much slower the fastest sample of the worst round was, as a fraction. */
  readonly spread: number;
  /** The samples of each round, the fastest first. */
  readonly rounds: readonly (readonly number[])[];
  /** This one to the reference, both at their fastest. */
  readonly ratio: number;
  /** The same within each round. */
  readonly ratioOfRounds: readonly number[];
}

export interface CaseResult {
  readonly name: string;
  readonly operation: string;
  readonly size: Size;
  readonly operations: number;
  readonly checksum: number;
  /** In the order of the table, the reference first. */
  readonly results: Readonly<Partial<Record<Implementation, Result>>>;
}

/** The measurements of each implementation, one for each round. */
export type Measurements = ReadonlyMap<Implementation, readonly Measurement[]>;

/** Rejects when two processes have different checksums: then they have not done the same work. */
export async function measureCase(subject: Case, effort: Effort): Promise<CaseResult> {
  const { name, folder, operation } = subject;
  const size = effort.quick ? subject.quick : subject.full;
  const implementations = implementationsOf(subject);
  const measurements = new Map<Implementation, Measurement[]>();
  for (const implementation of implementations) measurements.set(implementation, []);
  for (let round = 0; round < effort.rounds; round++) {
    // Who goes first changes: the later ones may find the processor warmer, or throttled.
    const order = round % 2 === 0 ? implementations : implementations.toReversed();
    for (const implementation of order) {
      const args = [folder, implementation, JSON.stringify(size), String(effort.samples)];
      const printed = await runProgram("measure-case.ts", ...args);
      measurements.get(implementation)?.push(printed as Measurement); // it prints nothing else
    }
  }
  return {
    name,
    operation,
    size,
    operations: size.tasks * size.repeats,
    checksum: commonChecksum(name, measurements),
    results: resultsOf(measurements),
  };
}

/** @throws Error when there are two. */
export function commonChecksum(name: string, measurements: Measurements): number {
  const found = [...measurements].flatMap(([implementation, rounds]) =>
    rounds.map(({ checksum }) => ({ implementation, checksum })),
  );
  const [first, ...others] = found;
  if (first === undefined) throw new Error(`${name} was not measured`);
  const different = others.find(({ checksum }) => checksum !== first.checksum);
  if (different !== undefined) {
    throw new Error(
      `${name}: the work was not the same, the checksum of "${first.implementation}" is ` +
        `${first.checksum}, that of "${different.implementation}" ${different.checksum}`,
    );
  }
  return first.checksum;
}

function resultsOf(measurements: Measurements): CaseResult["results"] {
  const base = roundsOf(measurements.get(reference) ?? []);
  const entries = [...measurements].map(([implementation, measured]) => {
    return [implementation, compare(roundsOf(measured), base)] as const;
  });
  return Object.fromEntries(entries);
}

function roundsOf(measurements: readonly Measurement[]): Result["rounds"] {
  return measurements.map((measurement) => measurement.nanosecondsPerOperation);
}

function compare(rounds: Result["rounds"], base: Result["rounds"]): Result {
  const fastest = rounds.map((samples) => Math.min(...samples));
  const fastestOfBase = base.map((samples) => Math.min(...samples));
  const minimum = Math.min(...fastest);
  return {
    nanosecondsPerOperation: minimum,
    spread: Math.max(...fastest) / minimum - 1,
    rounds,
    ratio: minimum / Math.min(...fastestOfBase),
    ratioOfRounds: fastest.map((value, round) => value / (fastestOfBase[round] ?? Number.NaN)),
  };
}
