// What is measured: the cases of the table, and how large they are.

import { type Implementation, reference } from "./contenders.ts";
import type { Size } from "./workload.ts";

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
  /**
   * Who does only a part of the full work, and which: "5" is a fifth. For those whose full work
   * takes too long to be measured. What makes a job hard (how many are alive, how
   * many wait in line) is left as it is.
   */
  readonly part?: Readonly<Partial<Record<Implementation, number>>>;
  /** The most that ours may cost as a multiple of native, as the project has set itself. */
  readonly aim?: number;
  /** Who does not do the same work, and what the difference is, as a sentence for the page. */
  readonly unequal?: Readonly<Partial<Record<Implementation, string>>>;
}

const startsAtOnce =
  "runs each child in the call, up to its first wait. These children have none: each has ended before the next one starts, " +
  "and none is joined later. The others start theirs later, in turn.";
const settlesNothing =
  "A promise that is cancelled never settles, and no error is made or thrown: its callbacks are taken away, and `finally` " +
  "runs. What is joined here is a counter that the `finally` counts down.";
const hasNoLock = "There is no lock: nothing in it needs one between two waits.";

export const cases: readonly Case[] = [
  {
    name: "switch",
    folder: "switch",
    others: ["ours", "effect", "effection", "asyncio", "uvloop", "trio", "go"],
    operation: "one sleep(0), 1,000 tasks in turn",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 100, repeats: 5 },
    part: { effect: 4, effection: 20, asyncio: 5, uvloop: 5, trio: 20 },
    aim: 2.1,
  },
  {
    name: "spawn-task",
    folder: "spawn-task",
    others: ["ours", "effect", "effection", "asyncio", "uvloop", "go"],
    operation: "createTask and await, 1,000 alive",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 100, repeats: 2 },
    part: { effect: 10, effection: 200, asyncio: 20, uvloop: 20 },
    aim: 4.5,
  },
  {
    name: "spawn-group",
    folder: "spawn-group",
    others: ["ours", "effect", "effection", "asyncio", "uvloop", "trio", "go"],
    operation: "createTask in a group of 1,000",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 100, repeats: 2 },
    part: { effect: 4, effection: 200, asyncio: 20, uvloop: 20, trio: 50 },
    aim: 3.3,
    unequal: {
      effect: `\`forEach\` ${startsAtOnce}`,
      effection: `\`all\` ${startsAtOnce}`,
    },
  },
  {
    name: "spawn-eager",
    folder: "spawn-eager",
    others: ["ours", "effect"],
    operation: "the same, children that start at once",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 100, repeats: 2 },
    part: { effect: 4 },
    aim: 2,
    unequal: {
      effect:
        "A fiber that has ended in the call is forgotten. Ours is a task and a promise, which the program may keep and await.",
    },
  },
  {
    name: "timers",
    folder: "timers",
    others: ["abort-controller", "ours", "effect", "effection", "asyncio", "uvloop", "trio", "go"],
    operation: "one timeout set and cancelled",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 500 },
    part: { "abort-controller": 4, effect: 10, effection: 500, asyncio: 20, uvloop: 20, trio: 50 },
    aim: 1.35,
    unequal: {
      native: "The body goes on when the time is up.",
      go: "The goroutine looks at its context instead of waiting for it.",
    },
  },
  {
    name: "deadline",
    folder: "deadline",
    others: ["ours", "ours-unlimited", "effect", "asyncio", "uvloop", "trio", "go"],
    operation: "one sleep(0) under a deadline, 1,000 tasks in turn",
    full: { tasks: 1000, repeats: 1000 },
    quick: { tasks: 100, repeats: 5 },
    part: { effect: 4, asyncio: 5, uvloop: 5, trio: 20 },
  },
  {
    name: "queue-1-1",
    folder: "queue",
    others: ["ours", "web-stream", "effect", "effection", "asyncio", "uvloop", "trio", "go"],
    operation: "one item through a queue of 100",
    full: { tasks: 1, repeats: 1_000_000 },
    quick: { tasks: 1, repeats: 500 },
    part: { "web-stream": 4, effect: 4, effection: 4, asyncio: 10, uvloop: 10, trio: 50 },
    aim: 1.3,
    unequal: { effection: "Its queue has no bound, so nothing ever waits for room." },
  },
  {
    name: "queue-100-100",
    folder: "queue",
    others: ["ours", "web-stream", "effect", "asyncio", "uvloop", "trio", "go"],
    operation: "the same, 100 producers, 100 consumers",
    full: { tasks: 100, repeats: 10_000 },
    quick: { tasks: 100, repeats: 20 },
    part: { "web-stream": 4, effect: 4, asyncio: 10, uvloop: 10, trio: 50 },
    aim: 1.25,
  },
  {
    name: "cancel",
    folder: "cancel",
    others: ["ours", "bluebird", "effect", "effection", "asyncio", "uvloop", "trio", "go"],
    operation: "one blocked task cancelled and joined",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 500, repeats: 1 },
    part: { effection: 50, asyncio: 2, uvloop: 2, trio: 10 },
    aim: 0.28,
    unequal: { bluebird: settlesNothing },
  },
  ...[1, 16, 1000].map(
    (tasks): Case => ({
      name: `cancel-${tasks}`,
      folder: "cancel",
      others: ["ours", "bluebird", "effect", "asyncio", "uvloop"],
      operation: `the same, ${tasks.toLocaleString("en")} at a time, 20,000 wait`,
      full: { tasks, repeats: 20_000 / tasks },
      quick: { tasks, repeats: 2 },
      unequal: { bluebird: settlesNothing },
    }),
  ),
  {
    name: "cancel-together",
    folder: "cancel-together",
    others: ["ours", "effect", "asyncio", "uvloop"],
    operation: "one of 100,000 children, their scope cancelled",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 500, repeats: 1 },
    part: { asyncio: 2, uvloop: 2 },
    aim: 0.24,
    unequal: { native: "Each has an AbortController of its own, as in `cancel`." },
  },
  {
    name: "lock",
    folder: "lock",
    others: [
      "ours",
      "ours-using",
      "async-mutex",
      "p-limit",
      "effect",
      "asyncio",
      "uvloop",
      "trio",
      "go",
    ],
    operation: "lock, one turn, unlock; 1,000 tasks want it",
    full: { tasks: 1000, repeats: 100 },
    quick: { tasks: 100, repeats: 4 },
    part: { effect: 20, asyncio: 4, uvloop: 4, trio: 20 },
    aim: 2.2,
  },
  {
    name: "map",
    folder: "map",
    others: [
      "ours",
      "ours-semaphore",
      "ours-task-queue",
      "async-mutex",
      "p-limit",
      "p-map",
      "p-queue",
      "effect",
      "effection",
      "asyncio",
      "uvloop",
      "trio",
      "go",
    ],
    operation: "one of 100,000 items mapped, 100 at a time",
    full: { tasks: 100_000, repeats: 1 },
    quick: { tasks: 300, repeats: 1 },
    part: { asyncio: 5, uvloop: 5, trio: 10 },
    aim: 2.5,
  },
  {
    name: "condition-ping-pong",
    folder: "condition-ping-pong",
    others: ["ours", "effect", "asyncio", "go"],
    operation: "one turn of one of 2 tasks, each waits for the other",
    full: { tasks: 2, repeats: 100_000 },
    quick: { tasks: 2, repeats: 200 },
    part: { asyncio: 4 },
    unequal: { native: hasNoLock, effect: hasNoLock },
  },
  {
    name: "condition-notify-all",
    folder: "condition-notify-all",
    others: ["ours", "effect", "asyncio", "go"],
    operation: "one of 100 waiters woken and heard",
    full: { tasks: 100, repeats: 2000 },
    quick: { tasks: 100, repeats: 5 },
    part: { asyncio: 5 },
    aim: 15,
    unequal: { native: hasNoLock, effect: hasNoLock },
  },
  {
    name: "latch",
    folder: "latch",
    others: ["ours", "effect", "asyncio", "uvloop"],
    operation: "one of 100 tasks woken by one thing",
    full: { tasks: 100, repeats: 2000 },
    quick: { tasks: 100, repeats: 5 },
    part: { asyncio: 5, uvloop: 5 },
  },
  {
    name: "explore",
    folder: "explore",
    others: ["ours", "fast-check"],
    operation: "one schedule of 3 tasks with 3 waits each",
    full: { tasks: 1, repeats: 20_000 },
    quick: { tasks: 1, repeats: 50 },
    part: { "fast-check": 10 },
  },
];

/** All implementations of a case, the reference first. */
export function implementationsOf({ others }: Case): readonly Implementation[] {
  return [reference, ...others];
}

/** How much of the work `implementation` does. */
export function sizeFor(
  { full, quick, part }: Case,
  implementation: Implementation,
  isQuick: boolean,
): Size {
  if (isQuick) return quick;
  const { tasks, repeats } = full;
  const divisor = part?.[implementation] ?? 1;
  return repeats === 1
    ? { tasks: tasks / divisor, repeats }
    : { tasks, repeats: repeats / divisor };
}
