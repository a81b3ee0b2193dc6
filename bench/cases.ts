// What is measured: the cases of the table, and how large they are.

import type { Size } from "./workload.ts";

/** The files there can be in a folder of workloads/: one for each way to do the job. */
export type Implementation =
  | "ours"
  | "native"
  | "async-mutex"
  | "p-limit"
  | "p-queue"
  | "effect"
  | "fast-check";

/** The implementation that the others are compared to; every case has it. */
export const reference: Implementation = "native";

export interface Case {
  readonly name: string;
  /** The folder in workloads/. */
  readonly folder: string;
  /** The others that are measured, in the order of the table. */
  readonly others: readonly Implementation[];
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
    others: ["ours"],
    operation: "one sleep(0), 1,000 tasks in turn",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 5 },
  },
  {
    name: "spawn-task",
    folder: "spawn-task",
    others: ["ours"],
    operation: "createTask and await, 1,000 alive",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 2 },
  },
  {
    name: "spawn-group",
    folder: "spawn-group",
    others: ["ours"],
    operation: "createTask in a group of 1,000",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 1000, repeats: 2 },
  },
  {
    name: "timers",
    folder: "timers",
    others: ["ours"],
    operation: "one timeout set and cancelled",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 2000 },
  },
  {
    name: "queue-1-1",
    folder: "queue",
    others: ["ours", "effect"],
    operation: "one item through a queue of 100",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 2000 },
  },
  {
    name: "queue-100-100",
    folder: "queue",
    others: ["ours", "effect"],
    operation: "the same, 100 producers, 100 consumers",
    full: { tasks: 100, repeats: 10_000 },
    quick: { tasks: 100, repeats: 20 },
  },
  {
    name: "cancel",
    folder: "cancel",
    others: ["ours"],
    operation: "one blocked task cancelled and joined",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 2000, repeats: 1 },
  },
  {
    name: "lock",
    folder: "lock",
    others: ["ours", "async-mutex", "p-limit", "effect"],
    operation: "lock, one turn, unlock; 1,000 tasks want it",
    full: { tasks: 1000, repeats: 100 },
    quick: { tasks: 100, repeats: 3 },
  },
  {
    name: "semaphore",
    folder: "semaphore",
    others: ["ours", "async-mutex", "p-limit", "p-queue", "effect"],
    operation: "one of 100,000 items mapped, 100 at a time",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 500, repeats: 1 },
  },
  {
    name: "condition-ping-pong",
    folder: "condition-ping-pong",
    others: ["ours", "effect"],
    operation: "one turn of one of 2 tasks, each waits for the other",
    full: { tasks: 2, repeats: 100_000 },
    quick: { tasks: 2, repeats: 200 },
  },
  {
    name: "condition-notify-all",
    folder: "condition-notify-all",
    others: ["ours", "effect"],
    operation: "one of 100 waiters woken and heard",
    full: { tasks: 100, repeats: 2000 },
    quick: { tasks: 100, repeats: 5 },
  },
  {
    name: "explore",
    folder: "explore",
    others: ["ours", "fast-check"],
    operation: "one schedule of 3 tasks with 3 waits each",
    full: { tasks: 1, repeats: 20_000 },
    quick: { tasks: 1, repeats: 50 },
  },
];

/** All implementations of a case, the reference first. */
export function implementationsOf({ others }: Case): readonly Implementation[] {
  return [reference, ...others];
}
