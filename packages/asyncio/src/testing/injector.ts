/** What sweeps let go wrong: cancellations, deadlines that pass, faults. Each chance to is a decision of the schedule. */

import { CancelledError, TimeoutError } from "../kernel/errors.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import type { Decider } from "./decider.ts";
import { InjectedFault } from "./errors.ts";
import type { Mode } from "./schedule.ts";
import { siteOf } from "./site.ts";
import type { TraceLog } from "./trace.ts";
import type { VirtualHost } from "./virtual-host.ts";

/** Boxed: code may throw undefined. */
export interface Failure {
  readonly error: unknown;
}

export class Injector {
  readonly mode: Mode;
  /** True once something was injected. */
  isUsed = false;
  /** True once a wait has thrown the CancelledError of the body itself. */
  isDelivered = false;
  /** The task of the body. */
  main: Task<unknown> | undefined = undefined;
  readonly #host: VirtualHost;
  readonly #decider: Decider;
  readonly #isVictim: ((task: Task<unknown>) => boolean) | undefined;
  readonly #log: TraceLog | undefined;
  /** Waits that the step that runs has parked. */
  #parked: Wait[] = [];
  /** The errors of the faults that were injected. */
  readonly #faults: Set<unknown> = new Set();

  /** Cancels tasks for which `isVictim`; without it, the body. */
  constructor(
    host: VirtualHost,
    decider: Decider,
    mode: Mode,
    isVictim: ((task: Task<unknown>) => boolean) | undefined,
    log: TraceLog | undefined,
  ) {
    this.#host = host;
    this.#decider = decider;
    this.mode = mode;
    this.#isVictim = isVictim;
    this.#log = log;
  }

  parked(wait: Wait): void {
    if (this.mode.cancels || this.mode.deadlines) this.#parked.push(wait);
  }

  /** The step has come as far as it can: what waits since then may be interrupted now. */
  stepEnded(): void {
    if (this.#parked.length === 0) return;
    const waiting = this.#parked.filter(({ state }) => state === "parked");
    this.#parked = [];
    if (this.mode.cancels && waiting.length > 0)
      for (const victim of this.#victimsAmong(waiting)) this.#maybeCancel(victim, "while it waits");
    if (this.mode.deadlines) for (const wait of waiting) this.#maybeExpire(wait);
  }

  /** A wait has ended, and its task is about to learn of it. */
  beforeStep(wait: Wait): void {
    if (wait.state === "cancelled" && wait.cancellation?.scope === this.main?.scope)
      this.isDelivered = true;
    if (!this.mode.cancels || wait.state !== "resumed") return;
    for (const victim of this.#victimsAmong([wait])) this.#maybeCancel(victim, "as it goes on");
  }

  /** What a fault site fails with; undefined if it does not. */
  fault(site: string, makeError: (() => unknown) | undefined): Failure | undefined {
    if (!this.mode.faults || this.#decider.pick("fault", 2, site) === 0) return undefined;
    this.isUsed = true;
    this.#log?.note(`>>> fault injected at ${JSON.stringify(site)}`, siteOf());
    const error = makeError === undefined ? new InjectedFault(site) : makeError();
    this.#faults.add(error);
    return { error };
  }

  /** Whether an error comes of what was injected: it is that, by its cause too, or a group of nothing else. */
  isInjection(error: unknown): boolean {
    if (this.#faults.has(error)) return true;
    if (this.mode.cancels && error instanceof CancelledError) return true;
    if (this.mode.deadlines && error instanceof TimeoutError) return true;
    if (error instanceof AggregateError && error.errors.length > 0)
      return error.errors.every((inner) => this.isInjection(inner));
    return error instanceof Error && error.cause !== undefined && this.isInjection(error.cause);
  }

  #victimsAmong(waits: readonly Wait[]): Iterable<Task<unknown>> {
    const isVictim = this.#isVictim;
    if (isVictim === undefined) return this.main === undefined ? [] : [this.main];
    const tasks = waits.flatMap(({ scope: { task } }) => (task === undefined ? [] : [task]));
    return new Set(tasks.filter((task) => task !== this.main && isVictim(task)));
  }

  #maybeCancel(victim: Task<unknown>, when: string): void {
    if (victim.done() || this.#decider.pick("cancel", 2, victim.getName()) === 0) return;
    this.isUsed = true;
    this.#log?.note(`>>> ${victim.describe()} is cancelled ${when}`, "");
    victim.cancelFor("cancel", "the sweep");
  }

  /** Lets the innermost deadline around a wait pass. */
  #maybeExpire(wait: Wait): void {
    if (wait.state !== "parked") return;
    let scope: Scope | undefined = wait.scope;
    while (
      scope !== undefined &&
      (scope.deadline === Number.POSITIVE_INFINITY || scope.trouble?.expired)
    )
      scope = scope.parent;
    if (scope === undefined || this.#decider.pick("expire", 2, scope.label) === 0) return;
    this.isUsed = true;
    this.#log?.note(`>>> the deadline of the ${scope.label} passes`, "");
    scope.deadline = this.#host.now();
    this.#host.fireDueTimers();
  }
}
