/**
 * Strategies. A strategy takes the decisions of a run. None of them finds every bug soonest, so
 * `explore` uses them in turn.
 *
 * Sources: PCT, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (Burckhardt
 * et al., 2010); partial-order sampling, "Partial Order Aware Concurrency Sampling" (Yuan et al.,
 * 2018); delay bounding (Emmi et al., 2011).
 */

import { Wait } from "../kernel/wait.ts";
import { drawer } from "./random.ts";
import { type Decision, type Deviation, hash16 } from "./schedule.ts";

/**
 * - `fifo`: as without a test. The first schedule always is.
 * - `random`: any ready step, all alike.
 * - `sticky`: mostly the task that ran last. Finds starvation.
 * - `pct`: each task has a random priority; the highest runs, and loses it at a few random moments.
 * - `partial-order`: each step has a random priority, drawn again after a step that touched the
 *   same thing.
 * - `dfs`: everything that differs from FIFO in one place, then in two, then in three.
 */
export type StrategyName = "fifo" | "random" | "sticky" | "pct" | "partial-order" | "dfs";

export interface Strategy {
  /** The option taken. Out of range means the last one. */
  choose(decision: Decision): number;
}

export const fifo: Strategy = { choose: () => 0 };

/** Whether an operation lets others go first: seldom, or no task would come far. */
const YIELD_ONE_IN = 4;
const FAULT_ONE_IN = 16;

/** A strategy that draws by `seed`. `length` is how many decisions a run is thought to have. */
export function drawn(
  name: Exclude<StrategyName, "fifo" | "dfs">,
  seed: number,
  length: number,
): Strategy {
  const draw = drawer(seed);
  if (name === "random") return new RandomWalk(draw);
  if (name === "sticky") return new Sticky(draw);
  if (name === "pct") return new Fair(new Pct(draw, length, 2 + draw(3)));
  return new Fair(new PartialOrder(draw));
}

/** How all that draw take the decisions that are not about steps. */
function chooseOther({ kind, count }: Decision, draw: (count: number) => number): number {
  if (kind === "yield") return draw(YIELD_ONE_IN) === 0 ? 1 : 0;
  if (kind === "fault") return draw(FAULT_ONE_IN) === 0 ? 1 : 0;
  return kind === "chunk" || kind === "random" ? draw(count) : 0;
}

class RandomWalk implements Strategy {
  readonly #draw: (count: number) => number;

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  choose(decision: Decision): number {
    return decision.kind === "step"
      ? this.#draw(decision.count)
      : chooseOther(decision, this.#draw);
  }
}

class Sticky implements Strategy {
  readonly #draw: (count: number) => number;
  #last: object | undefined = undefined;

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  choose(decision: Decision): number {
    if (decision.kind === "yield") return 0;
    if (decision.kind !== "step") return chooseOther(decision, this.#draw);
    const same = this.#last === undefined ? -1 : decision.flows.indexOf(this.#last);
    const option = same >= 0 && this.#draw(8) > 0 ? same : this.#draw(decision.count);
    this.#last = decision.flows[option];
    return option;
  }
}

/**
 * After so many steps in a row a task lets another one go first. It may be polling for something
 * that the other task does.
 */
const FAIR_STEPS = 64;

class Fair implements Strategy {
  readonly #strategy: Strategy;
  #last: object | undefined = undefined;
  #inARow = 0;

  constructor(strategy: Strategy) {
    this.#strategy = strategy;
  }

  choose(decision: Decision): number {
    let option = this.#strategy.choose(decision);
    if (decision.kind !== "step") return option;
    const { flows } = decision;
    if (flows[option] === this.#last && this.#inARow >= FAIR_STEPS)
      option = Math.max(
        0,
        flows.findIndex((flow) => flow !== this.#last),
      );
    this.#inARow = flows[option] === this.#last ? this.#inARow + 1 : 1;
    this.#last = flows[option];
    return option;
  }
}

class Pct implements Strategy {
  readonly #draw: (count: number) => number;
  readonly #priorities: Map<object, number> = new Map();
  /** The decisions at which the task that is about to run loses its priority. */
  readonly #changes: ReadonlySet<number>;
  #lowest = 0;

  constructor(draw: (count: number) => number, length: number, depth: number) {
    this.#draw = draw;
    const changes = Array.from({ length: depth - 1 }, () => draw(Math.max(length, 1)));
    this.#changes = new Set(changes);
  }

  choose(decision: Decision): number {
    const isChange = this.#changes.has(decision.position);
    if (decision.kind === "yield") return isChange ? 1 : 0;
    if (decision.kind !== "step") return chooseOther(decision, this.#draw);
    const { flows } = decision;
    const highest = this.#highest(flows);
    if (!isChange) return highest;
    this.#priorities.set(flows[highest] as object, --this.#lowest); // highest < length
    return this.#highest(flows);
  }

  #highest(flows: readonly object[]): number {
    let best = 0;
    for (let index = 1; index < flows.length; index++)
      if (this.#priority(flows[index]) > this.#priority(flows[best])) best = index;
    return best;
  }

  #priority(flow: object | undefined): number {
    const key = flow as object; // from the list
    let priority = this.#priorities.get(key);
    if (priority === undefined) {
      priority = 1 + this.#draw(2 ** 30);
      this.#priorities.set(key, priority);
    }
    return priority;
  }
}

class PartialOrder implements Strategy {
  readonly #draw: (count: number) => number;
  readonly #priorities: Map<object, number> = new Map();

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  choose(decision: Decision): number {
    if (decision.kind !== "step") return chooseOther(decision, this.#draw);
    const { items } = decision;
    let best = 0;
    for (let index = 1; index < items.length; index++)
      if (this.#priority(items[index]) > this.#priority(items[best])) best = index;
    const subject = subjectOf(items[best]);
    this.#priorities.delete(items[best] as object);
    if (subject !== undefined)
      for (const item of items) if (subjectOf(item) === subject) this.#priorities.delete(item);
    return best;
  }

  #priority(item: object | undefined): number {
    const key = item as object; // from the list
    let priority = this.#priorities.get(key);
    if (priority === undefined) {
      priority = this.#draw(2 ** 30);
      this.#priorities.set(key, priority);
    }
    return priority;
  }
}

/**
 * The object that a step has to do with: the lock or queue that it waited for. A wait that is
 * described in words has none.
 */
function subjectOf(item: object | undefined): object | undefined {
  return item instanceof Wait && typeof item.subject === "object" ? item.subject : undefined;
}

/** Takes given deviations, and FIFO everywhere else. Notes where they do not fit. */
export class Scripted implements Strategy {
  readonly #byPosition: Map<number, Deviation>;
  /** The first place where the run was not as it was when the schedule was recorded, in words. */
  mismatch: string | undefined = undefined;
  /** The deviations that the run has come to. */
  #met = 0;

  constructor(deviations: readonly Deviation[]) {
    this.#byPosition = new Map(deviations.map((deviation) => [deviation.position, deviation]));
  }

  choose(decision: Decision): number {
    const deviation = this.#byPosition.get(decision.position);
    if (deviation === undefined) return 0;
    this.#met++;
    const { option, count, check } = deviation;
    const taken = Math.min(option, decision.count - 1);
    if (count !== undefined && this.mismatch === undefined) {
      if (count !== decision.count)
        this.mismatch = `at decision ${decision.position} (a ${decision.kind}) there were ${count} options, and now there are ${decision.count}`;
      else if (check !== checkOf(decision, taken))
        this.mismatch = `at decision ${decision.position} option ${taken} was another one than ${decision.describe(taken)}`;
    }
    return taken;
  }

  /** To be asked at the end of the run. */
  get misfit(): string | undefined {
    const missing = this.#byPosition.size - this.#met;
    if (this.mismatch !== undefined || missing === 0) return this.mismatch;
    return `the run ended before ${missing} of its ${this.#byPosition.size} deviations`;
  }
}

/** A hash of what an option stands for. */
export function checkOf(decision: Decision, option: number): number {
  return hash16(`${decision.kind} ${decision.describe(option)}`);
}

/** One run of the search, from which others depart. Many of them are kept, so they are small. */
interface Node {
  readonly script: readonly Deviation[];
  /** How many options are to be tried of each decision behind the script. */
  readonly counts: Uint16Array;
}

/**
 * Everything that differs from FIFO in one place, then in two, up to `bound`. A run whose trace was
 * seen before is not departed from: whatever comes after it has been seen as well.
 */
export class BoundedSearch {
  readonly #bound: number;
  readonly #draw: (count: number) => number;
  /**
   * Nodes of the level that is being worked off, the next one last, and of the level after that.
   */
  #level: Node[] = [];
  #next: Node[] = [];
  #node: Node | undefined = undefined;
  /** The alternatives of the node that have not been tried, the next one last. */
  #untried: Deviation[] = [];

  constructor(bound: number, draw: (count: number) => number) {
    this.#bound = bound;
    this.#draw = draw;
  }

  /** The next schedule to try; undefined when there is none. */
  next(): readonly Deviation[] | undefined {
    for (;;) {
      const deviation = this.#untried.pop();
      if (deviation !== undefined) return [...(this.#node as Node).script, deviation]; // they are the node's
      if (this.#level.length === 0) {
        this.#level = this.#next.reverse();
        this.#next = [];
      }
      this.#node = this.#level.pop();
      if (this.#node === undefined) return undefined;
      this.#untried = this.#alternativesTo(this.#node);
    }
  }

  /**
   * Tells of a run with a new trace, and how many options of each of its decisions are to be tried.
   */
  ran(script: readonly Deviation[], counts: readonly number[]): void {
    if (script.length >= this.#bound) return;
    this.#next.push({ script, counts: Uint16Array.from(counts.slice(behind(script))) });
  }

  /**
   * The decision at which a run of the script that `next` gave last has left the run it departs
   * from, too early: up to where they differ they are the same schedule. Undefined if all is well.
   */
  misfit(script: readonly Deviation[], counts: readonly number[]): number | undefined {
    const node = this.#node;
    if (node === undefined) return undefined;
    const first = behind(node.script);
    for (let position = first; position < behind(script); position++)
      if (counts[position] !== node.counts[position - first]) return position;
    return undefined;
  }

  #alternativesTo({ script, counts }: Node): Deviation[] {
    const untried: Deviation[] = [];
    const first = behind(script);
    counts.forEach((count, index) => {
      for (let option = 1; option < count; option++)
        untried.push({ position: first + index, option });
    });
    // In a long run the first places are no likelier than others.
    for (let index = untried.length - 1; index > 0; index--) {
      const other = this.#draw(index + 1);
      const swapped = untried[index] as Deviation; // index < length
      untried[index] = untried[other] as Deviation;
      untried[other] = swapped;
    }
    return untried;
  }
}

/** The first decision behind the last deviation of a script. */
function behind(script: readonly Deviation[]): number {
  return (script.at(-1)?.position ?? -1) + 1;
}
