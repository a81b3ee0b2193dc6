// Random programs that run here and in CPython: what is cancelled, what times out, what cleans up
// meanwhile. A program is data, which both sides interpret: actors, each a list of steps that nest.
//
// Times are multiples of 2 ** -16 s, which add up exactly on both sides, and are drawn from so many
// that two things hardly ever happen at the same time: their order is nobody's promise.
//
// What differs by design is left out, or the comparison would show nothing else. A cancellation
// reaches the children of a group while its body still runs (S89), and a gather that is cancelled
// waits for all (S52): so what is in their bodies neither swallows nor cleans up. Nothing fails in
// a group, for CPython 3.11 loses count of its own cancellations then.

import { drawer } from "../../hopping-host.ts";

export type Step =
  | { readonly do: "sleep" | "fail" | "reschedule"; readonly n: number }
  /** Of the actor that `n` stands for; and then some ticks of sleep. */
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
  | { readonly do: "shield" | "swallow" | "catch"; readonly body: Steps }
  | { readonly do: "finally"; readonly body: Steps; readonly cleanup: Steps };
export type Steps = readonly Step[];
export type Program = readonly Steps[];

const TICKS = 96_000; // a second and a half

/** The program of `seed`: two or three actors. */
export function makeProgram(seed: number): Program {
  const draw = drawer(seed);
  const maker = new Maker((count) => draw(count));
  return Array.from({ length: 2 + draw(2) }, () => maker.steps(4, true));
}

class Maker {
  readonly #draw: (count: number) => number;
  /** How many bodies are around in which nothing swallows or cleans up. */
  #plain = 0;
  /** How many are around in which nothing fails. */
  #sound = 0;

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  /** One to three steps. A task begins with a sleep: it seldom ends before its first step then. */
  steps(depth: number, isTask = false): Steps {
    const steps = Array.from({ length: 1 + this.#draw(3) }, () => this.#step(depth));
    return isTask ? [{ do: "sleep", n: this.#ticks() }, ...steps] : steps;
  }

  #step(depth: number): Step {
    const name = depth <= 0 || this.#draw(20) < 9 ? this.#leaf() : this.#nest();
    const inner = depth - 1;
    switch (name) {
      case "cancel":
        return { do: name, n: 7 + this.#draw(1000) };
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

  #leaf(): "sleep" | "fail" | "cancel" | "reschedule" {
    const name = this.#one(["sleep", "sleep", "sleep", "fail", "cancel", "reschedule"] as const);
    return name === "fail" && this.#sound > 0 ? "sleep" : name;
  }

  #nest(): Exclude<Step["do"], "sleep" | "fail" | "cancel" | "reschedule"> {
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
    return 200 + this.#draw(TICKS);
  }
}
