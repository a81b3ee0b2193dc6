/** The one function through which every choice of a run goes, and what it remembers of them. */

import type { Task } from "../kernel/task.ts";
import { mix } from "./random.ts";
import type { Decision, DecisionKind, Deviation } from "./schedule.ts";
import { checkOf, type Strategy } from "./strategies.ts";

const nothing: readonly object[] = [];

/** Of draws with many results a few are tried one by one. */
const FEW = 4;

export class Decider implements Decision {
  // The decision that is being taken: this very object is shown to the strategy.
  kind: DecisionKind = "step";
  position = -1;
  count = 0;
  items: readonly object[] = nothing;
  flows: readonly object[] = nothing;
  #site = "";

  /** Where the run has left first in, first out so far. */
  readonly deviations: Deviation[] = [];
  /** How many options of each decision are worth trying, by position. */
  readonly counts: number[] = [];
  /** Of whose steps came in which order, and of all other deviations. */
  hash = 0;
  readonly #strategy: Strategy;
  readonly #numbers: Map<object, number> = new Map();

  constructor(strategy: Strategy) {
    this.#strategy = strategy;
  }

  /** How many decisions there have been. */
  get length(): number {
    return this.position + 1;
  }

  /** Which of the ready items is next. One alone is no decision. */
  step(items: readonly object[], flows: readonly object[]): number {
    // By the order in which they became ready first, not in which they ran: who runs first is what
    // runs differ in.
    for (const flow of flows) this.#numberOf(flow);
    let option = 0;
    if (items.length > 1) {
      this.items = items;
      this.flows = flows;
      option = this.#decide("step", items.length, items.length);
      this.items = this.flows = nothing;
    }
    const flow = flows[option] as object; // option < length
    this.hash = mix(this.hash ^ (this.#numberOf(flow) + 1));
    // Branches of one task, as those of a race, are one flow: which of them goes first makes
    // another trace all the same.
    const rank = rankOf(flow, flows, option);
    if (rank > 0) this.hash = mix(this.hash ^ (rank + 0x20000));
    return option;
  }

  /** An option of something else, 0 to `count` - 1; `site` says what it is about. */
  pick(kind: Exclude<DecisionKind, "step">, count: number, site: string): number {
    if (count < 2) return 0;
    this.#site = site;
    const option = this.#decide(kind, count, Math.min(count, FEW));
    if (option > 0) this.hash = mix(this.hash ^ (option + 0x10000));
    return option;
  }

  describe(option: number): string {
    if (this.kind !== "step") return `${this.#site} ${option}`;
    return nameOfFlow(this.flows[option]);
  }

  #decide(kind: DecisionKind, count: number, worthTrying: number): number {
    this.kind = kind;
    this.count = count;
    this.position++;
    this.counts.push(worthTrying);
    const option = Math.min(this.#strategy.choose(this), count - 1);
    if (option > 0) {
      const check = checkOf(this, option);
      this.deviations.push({ position: this.position, option, count, check });
    }
    return option;
  }

  #numberOf(flow: object): number {
    let number = this.#numbers.get(flow);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(flow, number);
    }
    return number;
  }
}

/** How many steps of the same flow have been ready for longer. */
function rankOf(flow: object, flows: readonly object[], option: number): number {
  let rank = 0;
  for (let index = 0; index < option; index++) if (flows[index] === flow) rank++;
  return rank;
}

/** What reports call a flow of steps: the name of its task. */
export function nameOfFlow(flow: object | undefined): string {
  const task = flow as Partial<Task<unknown>> | undefined;
  return typeof task?.getName === "function" ? task.getName() : "a callback";
}
