// Random programs that run here and in CPython: what is cancelled, what times out, what cleans up
// meanwhile. A program is data, which both sides interpret: actors, each a list of steps that nest.
//
// Times are multiples of 2 ** -22 s, which add up exactly on both sides, and are drawn from so many
// that two things hardly ever happen at the same time: their order is nobody's promise.
//
// What differs by design is left out, or the comparison would show nothing else. A cancellation
// reaches the children of a group while its body still runs (S89), and a gather that is cancelled
// waits for all (S52): so what is in their bodies neither swallows nor cleans up. Nothing fails in
// a group, for CPython 3.11 loses count of its own cancellations then.
//
// In every other program the actors share locks, queues, events and the like. Some ticks lie
// between a use of one and what comes before and after it, since two things that happen at the same
// time may differ. A queue gives an item to who is first in line; in CPython the next who asks may
// take it before that one wakes up (S123). A result stands here if a cancellation comes with it
// (S37). And the next condition to wake up there may be one that nobody has notified.

import { drawer } from "../../hopping-host.ts";
import type { HoldStep, UseStep } from "../actors.ts";

/** What is done to something that the actors share. */
const USES = [
  ...(["put", "put", "get", "get", "putNowait", "getNowait", "join"] as const),
  ...(["event", "event", "set", "clear"] as const),
  ...(["condition", "condition", "notify", "notifyAll", "waitFor", "count"] as const),
  ...(["barrier", "barrier", "barrier", "reset", "abort", "future", "resolve"] as const),
];
export type Use = (typeof USES)[number];

export type Step =
  | { readonly do: "sleep" | "fail" | "reschedule"; readonly n: number }
  /** Of the actor that `n` stands for, with some ticks of sleep before it and after it. */
  | { readonly do: "cancel"; readonly n: number }
  | { readonly do: "timeout"; readonly n: number; readonly body: Steps }
  | { readonly do: "group"; readonly children: readonly Steps[]; readonly body: Steps }
  | { readonly do: "gather"; readonly children: readonly Steps[]; readonly collect: boolean }
  | {
      readonly do: "wait";
      readonly children: readonly Steps[];
      readonly until: "ALL_COMPLETED" | "FIRST_COMPLETED" | "FIRST_EXCEPTION";
      readonly n: number;
    }
  | UseStep<Use>
  | HoldStep<Step>
  | { readonly do: "shield" | "swallow" | "catch"; readonly body: Steps }
  | { readonly do: "finally"; readonly body: Steps; readonly cleanup: Steps };
export type Steps = readonly Step[];
export type Program = readonly Steps[];

const TICKS = 6_000_000; // almost a second and a half

/** The program of `seed`: two or three actors, and three times as many where they share. */
export function makeProgram(seed: number): Program {
  const draw = drawer(seed);
  const shares = seed % 2 === 0;
  const maker = new Maker((count) => draw(count), shares);
  const actors = (2 + draw(2)) * (shares ? 3 : 1);
  return Array.from({ length: actors }, () => maker.steps(4, true));
}

class Maker {
  readonly #draw: (count: number) => number;
  /** How many bodies are around in which nothing swallows or cleans up. */
  #plain = 0;
  /** How many are around in which nothing fails. */
  #sound = 0;
  /** How many locks are held around. One at a time: two would wait for one another soon. */
  #held = 0;
  readonly #shares: boolean;

  constructor(draw: (count: number) => number, shares: boolean) {
    this.#draw = draw;
    this.#shares = shares;
  }

  /** One to three steps. A task begins with a sleep: it seldom ends before its first step then. */
  steps(depth: number, isTask = false): Steps {
    const steps = Array.from({ length: 1 + this.#draw(3) }, () => this.#step(depth));
    return isTask ? [{ do: "sleep", n: this.#ticks() }, ...steps] : steps;
  }

  #step(depth: number): Step {
    if (this.#shares && this.#draw(3) > 0) return this.#share(depth);
    const name = depth <= 0 || this.#draw(20) < 9 ? this.#leaf() : this.#nest();
    const inner = depth - 1;
    switch (name) {
      case "cancel":
        return { do: name, n: 7 + this.#draw(TICKS / 100) };
      case "timeout":
        return { do: name, n: this.#ticks(), body: this.steps(inner) };
      case "group": {
        this.#sound++;
        const children = this.#children(this.#draw(3), inner);
        this.#plain += Math.min(children.length, 1);
        const body = this.steps(inner);
        this.#plain -= Math.min(children.length, 1);
        this.#sound--;
        return { do: name, children, body };
      }
      case "gather": {
        this.#plain++;
        const children = this.#children(1 + this.#draw(2), inner);
        this.#plain--;
        return { do: name, children, collect: this.#draw(2) === 0 };
      }
      case "wait": {
        const until = this.#one(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"] as const);
        const children = this.#children(1 + this.#draw(2), inner);
        return { do: name, children, until, n: this.#ticks() };
      }
      case "shield":
      case "swallow":
      case "catch":
        return { do: name, body: this.steps(inner) };
      case "finally":
        return { do: name, body: this.steps(inner), cleanup: this.steps(inner - 1) };
      default:
        return { do: name, n: this.#ticks() };
    }
  }

  #share(depth: number): Step {
    const n = this.#ticks();
    const of = this.#draw(2);
    if (depth > 0 && this.#draw(4) === 0) {
      const what = this.#held > 0 ? "semaphore" : this.#one(["lock", "semaphore"] as const);
      this.#held++;
      const body = this.steps(depth - 1);
      this.#held--;
      return { do: "hold", what, n, of, body };
    }
    const what = this.#one(USES);
    const cleansUp = what === "condition" || what === "waitFor"; // it takes its lock again
    return { do: "use", what: cleansUp && this.#plain > 0 ? "event" : what, n, of };
  }

  #leaf(): "sleep" | "fail" | "cancel" | "reschedule" {
    const name = this.#one(["sleep", "sleep", "sleep", "fail", "cancel", "reschedule"] as const);
    return name === "fail" && this.#sound > 0 ? "sleep" : name;
  }

  #nest(): Exclude<Step["do"], "sleep" | "fail" | "cancel" | "reschedule" | "use" | "hold"> {
    const plain = ["timeout", "timeout", "group", "gather"] as const;
    if (this.#plain > 0) return this.#one(plain);
    const others = ["timeout", "wait", "shield", "swallow", "catch", "finally"] as const;
    return this.#one([...plain, ...others]);
  }

  #children(count: number, depth: number): Steps[] {
    return Array.from({ length: count }, () => this.steps(depth, true));
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#draw(choices.length)] as T;
  }

  #ticks(): number {
    return 1000 + this.#draw(this.#shares ? TICKS / 8 : TICKS);
  }
}
