// Random programs that run here and in Trio: scopes that are cancelled from elsewhere, deadlines
// that move, shields, groups that fail, and what tasks share. A program is data, which both sides
// interpret: actors, each a list of steps that nest.
//
// Times are multiples of 2 ** -22 s, which add up exactly on both sides, and are drawn from so many
// that two things hardly ever happen at the same time: their order is nobody's promise.
//
// What differs by design is left out. A cancellation is delivered once here, and again at each
// checkpoint in Trio: so a cleanup is shielded, as Trio asks for, and does not fail.

import { drawer } from "../../hopping-host.ts";
import type { CommonUse, HoldStep, UseStep } from "../actors.ts";

const USES = ["put", "get", "event", "set", "condition", "notify", "notifyAll"] as const;

export type Step =
  | { readonly do: "sleep" | "fail"; readonly n: number }
  /** Of the open scope that `of` stands for, with some ticks of sleep before it and after it. */
  | { readonly do: "cancel"; readonly n: number; readonly of: number }
  /** The deadline of the open scope that `of` stands for. */
  | { readonly do: "move"; readonly n: number; readonly of: number }
  | { readonly do: "timeout" | "moveOn"; readonly n: number; readonly body: Steps }
  /** It may be cancelled before it begins, and be a shield. */
  | {
      readonly do: "scope";
      readonly isEarly: boolean;
      readonly isShield: boolean;
      readonly body: Steps;
    }
  | { readonly do: "group"; readonly children: readonly Steps[]; readonly body: Steps }
  | { readonly do: "catch"; readonly body: Steps }
  | { readonly do: "finally"; readonly body: Steps; readonly n: number; readonly cleanup: Steps }
  | UseStep<CommonUse>
  | HoldStep<Step>;
export type Steps = readonly Step[];
export type Program = readonly Steps[];

const TICKS = 2_000_000; // almost half a second

/** The program of `seed`: two to five actors. */
export function makeProgram(seed: number): Program {
  const draw = drawer(seed);
  const maker = new Maker((count) => draw(count));
  return Array.from({ length: 2 + draw(4) }, () => maker.steps(3));
}

class Maker {
  readonly #draw: (count: number) => number;
  /** How many cleanups are around. */
  #cleanups = 0;
  /** How many locks are held around. One at a time: two would wait for one another soon. */
  #held = 0;

  constructor(draw: (count: number) => number) {
    this.#draw = draw;
  }

  /** One to three steps, after a sleep. */
  steps(depth: number): Steps {
    const steps = Array.from({ length: 1 + this.#draw(3) }, () => this.#step(depth));
    return [{ do: "sleep", n: this.#ticks() }, ...steps];
  }

  #step(depth: number): Step {
    const n = this.#ticks();
    const of = this.#draw(1000);
    const inner = depth - 1;
    const name = depth <= 0 || this.#draw(3) === 0 ? this.#leaf() : this.#nest();
    switch (name) {
      case "sleep":
      case "fail":
        return { do: name, n };
      case "cancel":
      case "move":
        return { do: name, n: 1 + Math.floor(n / 10), of };
      case "use":
        return { do: name, what: this.#one(USES), n, of: of % 2 };
      case "hold": {
        const what = this.#held > 0 ? "semaphore" : this.#one(["lock", "semaphore"] as const);
        this.#held++;
        const body = this.steps(inner);
        this.#held--;
        return { do: name, what, n, of: of % 2, body };
      }
      case "timeout":
      case "moveOn":
        return { do: name, n: n * 2, body: this.steps(inner) };
      case "scope": {
        const isEarly = this.#draw(10) === 0;
        return { do: name, isEarly, isShield: this.#draw(3) === 0, body: this.steps(inner) };
      }
      case "group": {
        const children = Array.from({ length: this.#draw(4) }, () => this.steps(inner));
        return { do: name, children, body: this.steps(inner) };
      }
      case "catch":
        return { do: name, body: this.steps(inner) };
      case "finally": {
        const body = this.steps(inner);
        this.#cleanups++;
        const cleanup = this.steps(inner - 1);
        this.#cleanups--;
        return { do: name, body, n: n * 2, cleanup };
      }
    }
  }

  #leaf(): "sleep" | "fail" | "cancel" | "move" | "use" {
    const name = this.#one(["sleep", "fail", "cancel", "cancel", "move", "use", "use"] as const);
    return name === "fail" && this.#cleanups > 0 ? "sleep" : name;
  }

  #nest(): "timeout" | "moveOn" | "scope" | "group" | "catch" | "finally" | "hold" {
    const scopes = ["timeout", "moveOn", "scope", "scope"] as const;
    return this.#one([...scopes, "group", "group", "catch", "finally", "hold"] as const);
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#draw(choices.length)] as T;
  }

  #ticks(): number {
    return 1000 + this.#draw(TICKS);
  }
}
