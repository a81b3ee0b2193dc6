// What is measured: the cases of the table, and how large they are.

import type { Size } from "./workload.ts";

/** The implementations that are compared; every folder in workloads/ has a file for each. */
export const implementations = ["ours", "native"] as const;
export type Implementation = (typeof implementations)[number];

export interface Case {
  readonly name: string;
  /** The folder in workloads/. */
  readonly folder: string;
  /** What is counted as one operation. */
  readonly operation: string;
  readonly full: Size;
  /** For a smoke run: large enough that every path is taken, far too small to be timed. */
  readonly quick: Size;
}

export const cases: readonly Case[] = [
  {
    name: "switch",
    folder: "switch",
    operation: "one sleep(0), 1,000 tasks in turn",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 5 },
  },
  {
    name: "spawn-task",
    folder: "spawn-task",
    operation: "createTask and await, 1,000 alive",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 2 },
  },
  {
    name: "spawn-group",
    folder: "spawn-group",
    operation: "createTask in a group of 1,000",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 2 },
  },
  {
    name: "timers",
    folder: "timers",
    operation: "one timeout set and cancelled",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 2000 },
  },
  {
    name: "queue-1-1",
    folder: "queue",
    operation: "one item through a queue of 100",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 2000 },
  },
  {
    name: "queue-100-100",
    folder: "queue",
    operation: "the same, 100 producers, 100 consumers",
    full: { tasks: 100, repeats: 10_000 },
    quick: { tasks: 100, repeats: 20 },
  },
  {
    name: "cancel",
    folder: "cancel",
    operation: "one blocked task cancelled and joined",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 2000, repeats: 1 },
  },
];
