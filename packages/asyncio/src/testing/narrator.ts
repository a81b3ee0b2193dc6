/**
 * Tells the steps of a trial for people, if there is a log, and where in the program they are.
 */

import type { Ready } from "../kernel/gate.ts";
import { Task } from "../kernel/task.ts";
import { Wait } from "../kernel/wait.ts";
import { nameOfFlow } from "./decider.ts";
import { siteOf } from "./site.ts";
import type { TraceLog } from "./trace.ts";

/**
 * A site costs some microseconds: a test that waits a million times shall not take seconds for it.
 */
const MOST_SITES = 5000;

export class Narrator {
  #log: TraceLog | undefined;
  #sitesLeft: number;
  /** Whose step is being told. */
  #flow: object | undefined = undefined;

  constructor(log: TraceLog | undefined, keepsSites: boolean) {
    this.#log = log;
    this.#sitesLeft = keepsSites ? MOST_SITES : 0;
  }

  /** Whether what is told is kept: for words that cost something to find. */
  get isHeard(): boolean {
    return this.#log !== undefined;
  }

  /** Where the running code is in the program; "" if that is not kept, or not any more. */
  site(): string {
    return this.#sitesLeft > 0 && this.#sitesLeft-- > 0 ? siteOf() : "";
  }

  /** A step of `flow` begins, although it was the turn of `first`. */
  step(flow: object, item: Ready, first: object): void {
    this.#flow = flow;
    this.#log?.step(flow, describeStep(item), flow === first ? undefined : nameOfFlow(first));
  }

  note(text: string, site: string): void {
    this.#log?.note(text, site);
  }

  /** Says how the step left its task. */
  stepEnded(): void {
    const task = this.#flow;
    this.#flow = undefined;
    if (this.#log === undefined || !(task instanceof Task) || !task.done()) return;
    if (task.state === "fulfilled") this.note("ends", "");
    else if (task.state === "cancelled") this.note("ends cancelled", "");
    else this.note(`fails: ${firstLine(String(task.failure))}`, "");
  }

  /** What follows is of no interest. */
  stop(): void {
    this.#log = undefined;
  }
}

/** How a step begins. What it had waited for stands in the row above. */
function describeStep(item: Ready): string {
  if (!(item instanceof Wait)) return "starts";
  if (item.state === "cancelled") return "is cancelled";
  return item.state === "failed" ? "is refused" : "goes on";
}

function firstLine(text: string): string {
  return text.replace(/\n[\s\S]*/, " ...");
}
