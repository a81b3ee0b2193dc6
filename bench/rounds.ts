// Measures one case: all implementations side by side, each in a fresh process, in several rounds.
// Whatever slows the machine down for a while slows all of them, and what was slow in one round
// only shows as spread. The minimum is what the code costs; the rest is the machine.

import { type Case, implementationsOf, sizeFor } from "./cases.ts";
import { type Implementation, isGuest, reference } from "./contenders.ts";
import type { Measurement } from "./measure-case.ts";
import { inThisFolder, runCommand, runProgram } from "./program.ts";
import type { Selection } from "./selection.ts";
import type { Size } from "./workload.ts";

/**
 * Guests, in Python and Go, are measured in so many rounds at most: they take most of the time, and
 * differ by more than a round could tell.
 */
const ROUNDS_OF_GUESTS = 2;

/** How thoroughly a case is measured. */
export interface Effort {
  readonly quick: boolean;
  readonly rounds: number;
  /** Timed runs of the workload in one process at most, after one that is not timed. */
  readonly samples: number;
  /** They end when they have taken this long together. */
  readonly budgetMs: number;
}

export interface Result {
  /** How many operations each sample was; fewer than the case has if it did a part of the work. */
  readonly operations: number;
  /** The fastest sample of all rounds. */
  readonly nanosecondsPerOperation: number;
  /** How much slower the fastest sample of the worst round was, as a fraction. */
  readonly spread: number;
  /** The samples of each round that it took part in, the first rounds; the fastest first. */
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
  /** The one that the full work comes to. */
  readonly checksum: number;
  readonly aim?: number;
  /** Of those who did other work: what the difference is. */
  readonly unequal?: Case["unequal"];
  /** In the order of the table, the reference first. */
  readonly results: Readonly<Partial<Record<Implementation, Result>>>;
}

/** The measurements of each implementation, one for each round that it took part in. */
export type Measurements = ReadonlyMap<Implementation, readonly Measurement[]>;

/**
 * Rejects when two processes have different checksums for the same work: then they have not done
 * it.
 */
export async function measureCase(
  subject: Case,
  effort: Effort,
  selection: Selection,
): Promise<CaseResult> {
  const { name, operation } = subject;
  const implementations = implementationsOf(subject).filter((found) => selection.includes(found));
  const sizes = new Map<Implementation, Size>();
  for (const found of implementations) sizes.set(found, sizeFor(subject, found, effort.quick));
  const measure = async (implementation: Implementation, size: Size, samples: number) => {
    const args = [subject.folder, implementation, JSON.stringify(size), String(samples)];
    return await measureOnce(implementation, [...args, String(effort.budgetMs)], selection);
  };

  const measurements = new Map<Implementation, Measurement[]>();
  for (const implementation of implementations) measurements.set(implementation, []);
  const measureAgain = async (implementation: Implementation): Promise<void> => {
    const size = sizes.get(implementation) ?? subject.full;
    const measured = await measure(implementation, size, effort.samples);
    measurements.get(implementation)?.push(measured);
  };
  for (let round = 0; round < effort.rounds; round++) {
    const present = implementations.filter((found) => round < ROUNDS_OF_GUESTS || !isGuest(found));
    // Who goes first changes: the later ones may find the processor warmer, or throttled.
    const order = round % 2 === 0 ? present : present.toReversed();
    // A smoke run times nothing, so they need not wait for each other.
    if (effort.quick) await Promise.all(order.map(measureAgain));
    else for (const implementation of order) await measureAgain(implementation);
  }

  const full = sizeFor(subject, reference, effort.quick);
  const checksum = await checkTheWork(name, measurements, sizes, async (size) => {
    return await measure(reference, size, 1);
  });
  return {
    name,
    operation,
    size: full,
    operations: operationsOf(full),
    checksum,
    ...(subject.aim === undefined ? {} : { aim: subject.aim }),
    ...(subject.unequal === undefined ? {} : { unequal: subject.unequal }),
    results: resultsOf(measurements, sizes),
  };
}

async function measureOnce(
  implementation: Implementation,
  args: readonly string[],
  { guests, goProgram }: Selection,
): Promise<Measurement> {
  // None of these programs prints anything else.
  if (!isGuest(implementation))
    return (await runProgram("measure-case.ts", ...args)) as Measurement;
  if (implementation === "go") return (await runCommand(goProgram("."), args)) as Measurement;
  const python = guests.get(implementation)?.executable ?? "python3";
  return (await runCommand(python, [inThisFolder("measure_case.py"), ...args])) as Measurement;
}

/**
 * Compares the checksums of all who did the same amount of work, with that of the reference. Gives
 * the checksum of the full work. If only a slow contender did a part of the work, the reference
 * does that part, too, untimed.
 */
async function checkTheWork(
  name: string,
  measurements: Measurements,
  sizes: ReadonlyMap<Implementation, Size>,
  measureReference: (size: Size) => Promise<Measurement>,
): Promise<number> {
  const groups = Map.groupBy(measurements, ([implementation]) => {
    return JSON.stringify(sizes.get(implementation));
  });
  let checksum = 0;
  for (const [size, group] of groups) {
    const members = new Map<Implementation, readonly Measurement[]>(group);
    if (members.has(reference)) checksum = commonChecksum(name, members);
    else {
      const again = await measureReference(JSON.parse(size) as Size); // it was made of one
      commonChecksum(name, new Map([[reference, [again]] as const, ...members]));
    }
  }
  return checksum;
}

function operationsOf({ tasks, repeats }: Size): number {
  return tasks * repeats;
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

function resultsOf(
  measurements: Measurements,
  sizes: ReadonlyMap<Implementation, Size>,
): CaseResult["results"] {
  const base = roundsOf(measurements.get(reference) ?? []);
  const entries = [...measurements].map(([implementation, measured]) => {
    const size = sizes.get(implementation);
    const operations = size === undefined ? 0 : operationsOf(size);
    return [implementation, { operations, ...compare(roundsOf(measured), base) }] as const;
  });
  return Object.fromEntries(entries);
}

function roundsOf(measurements: readonly Measurement[]): Result["rounds"] {
  return measurements.map((measurement) => measurement.nanosecondsPerOperation);
}

function compare(rounds: Result["rounds"], base: Result["rounds"]): Omit<Result, "operations"> {
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
