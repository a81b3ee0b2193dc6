// Measures one case: all implementations side by side, each in a fresh process, in several rounds.
// Whatever slows the machine down for a while slows both, and what was slow in one round only shows
// as spread. The minimum is what the code costs; the rest is the machine.

import { type Case, type Implementation, implementations } from "./cases.ts";
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
}

export interface CaseResult {
  readonly name: string;
  readonly operation: string;
  readonly size: Size;
  readonly operations: number;
  readonly checksum: number;
  readonly results: Readonly<Record<Implementation, Result>>;
  /** Ours to native, both at their fastest. */
  readonly ratio: number;
  /** The same within each round. */
  readonly ratioOfRounds: readonly number[];
}

/** Rejects when two processes have different checksums: then they have not done the same work. */
export async function measureCase(subject: Case, effort: Effort): Promise<CaseResult> {
  const { name, folder, operation } = subject;
  const size = effort.quick ? subject.quick : subject.full;
  const measurements: Record<Implementation, Measurement[]> = { ours: [], native: [] };
  for (let round = 0; round < effort.rounds; round++) {
    // Who goes first changes: the second one may find the processor warmer, or throttled.
    const order = round % 2 === 0 ? implementations : implementations.toReversed();
    for (const implementation of order) {
      const args = [folder, implementation, JSON.stringify(size), String(effort.samples)];
      const printed = await runProgram("measure-case.ts", ...args);
      measurements[implementation].push(printed as Measurement); // it prints nothing else
    }
  }
  const ours = resultOf(measurements.ours);
  const native = resultOf(measurements.native);
  return {
    name,
    operation,
    size,
    operations: size.tasks * size.repeats,
    checksum: commonChecksum(name, measurements),
    results: { ours, native },
    ratio: ours.nanosecondsPerOperation / native.nanosecondsPerOperation,
    ratioOfRounds: ours.rounds.map(
      (samples, round) => Math.min(...samples) / Math.min(...(native.rounds[round] ?? [])),
    ),
  };
}

/** @throws Error when there are two. */
export function commonChecksum(
  name: string,
  measurements: Readonly<Record<Implementation, readonly Measurement[]>>,
): number {
  const found = implementations.flatMap((implementation) =>
    measurements[implementation].map(({ checksum }) => ({ implementation, checksum })),
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

function resultOf(measurements: readonly Measurement[]): Result {
  const rounds = measurements.map((measurement) => measurement.nanosecondsPerOperation);
  const fastest = rounds.map((samples) => Math.min(...samples));
  const minimum = Math.min(...fastest);
  return {
    nanosecondsPerOperation: minimum,
    spread: Math.max(...fastest) / minimum - 1,
    rounds,
  };
}
