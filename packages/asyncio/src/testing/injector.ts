/**
 * What sweeps let go wrong: cancellations, deadlines that pass, faults. Each chance to is a
 * decision of the schedule.
 */

import { CancelledError, TimeoutError } from "../errors/errors.ts";
import { isA } from "../errors/render.ts";
import { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { setDeadline } from "../tasks/deadlines.ts";
import type { Decider } from "./decider.ts";
import { InjectedFault } from "./errors.ts";
import type { DecisionKind, Mode } from "./schedule.ts";
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
      for (const victim of this.#victimsAmong(waiting))
        this.#maybeCancel("cancel", victim, "while it waits");
    if (this.mode.deadlines && waiting.length > 0)
      for (const scope of this.#runningDeadlines()) this.#maybeExpire("expire", scope, "passes");
  }

  /** A wait has ended, and its task is about to learn of it. */
  beforeStep(wait: Wait): void {
    if (wait.state === "cancelled" && wait.cancellation?.scope === this.main?.scope)
      this.isDelivered = true;
    if (wait.state !== "resumed") return;
    if (this.mode.cancels)
      for (const victim of this.#victimsAmong([wait]))
        this.#maybeCancel("cancel", victim, "as it goes on");
    if (this.mode.deadlines)
      for (const scope of deadlinesAround(wait.scope))
        this.#maybeExpire("expire", scope, "passes as it goes on");
  }

  /**
   * An operation completes in its call. It is a wait all the same: when the budget is spent it lets
   * the host have its turn (R9), and the task that comes up then may cancel. The next operation
   * learns of it.
   */
  completes(scope: Scope): void {
    const when = "as an operation completes";
    if (this.mode.cancels)
      for (const victim of this.#victimsAmong([{ scope }]))
        this.#maybeCancel("interrupt", victim, when);
    if (this.mode.deadlines)
      for (const around of deadlinesAround(scope))
        this.#maybeExpire("interrupt", around, `passes ${when}`);
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

  /**
   * Whether an error comes of what was injected: it is that, by its cause too, or a group of
   * nothing else.
   */
  isInjection(error: unknown): boolean {
    if (this.#faults.has(error)) return true;
    if (this.mode.cancels && error instanceof CancelledError) return true;
    if (this.mode.deadlines && error instanceof TimeoutError) return true;
    if (isA(error, AggregateError) && error.errors.length > 0)
      return error.errors.every((inner) => this.isInjection(inner));
    return isA(error, Error) && error.cause !== undefined && this.isInjection(error.cause);
  }

  #victimsAmong(waits: readonly { readonly scope: Scope }[]): Iterable<Task<unknown>> {
    const isVictim = this.#isVictim;
    if (isVictim === undefined) return this.main === undefined ? [] : [this.main];
    const tasks = waits.flatMap(({ scope: { task } }) => (task === undefined ? [] : [task]));
    return new Set(tasks.filter((task) => task !== this.main && isVictim(task)));
  }

  #maybeCancel(kind: "cancel" | "interrupt", victim: Task<unknown>, when: string): void {
    if (victim.done() || this.#decider.pick(kind, 2, victim.getName()) === 0) return;
    this.isUsed = true;
    this.#note(kind, `${victim.describe()} is cancelled ${when}`);
    victim.cancelFor("cancel", "the sweep");
  }

  /**
   * Every deadline that may pass now, of whichever task: what the others have left half done is
   * there to be seen then.
   */
  #runningDeadlines(): Iterable<Scope> {
    const targets = this.#host.loop.timers.targets();
    return new Set(targets.filter((target) => target instanceof Scope).filter(isRunning));
  }

  #maybeExpire(kind: "expire" | "interrupt", scope: Scope, what: string): void {
    if (!isRunning(scope) || this.#decider.pick(kind, 2, scope.label) === 0) return;
    this.isUsed = true;
    this.#note(kind, `the deadline of the ${scope.label} ${what}`);
    setDeadline(scope, this.#host.now());
    this.#host.fireDueTimers();
  }

  /** Between steps there is no place in the program to show. */
  #note(kind: DecisionKind, text: string): void {
    this.#log?.note(`>>> ${text}`, kind === "interrupt" ? siteOf() : "");
  }
}

function deadlinesAround(scope: Scope): Scope[] {
  const found: Scope[] = [];
  for (let around: Scope | undefined = scope; around !== undefined; around = around.parent)
    if (isRunning(around)) found.push(around);
  return found;
}

function isRunning(scope: Scope): boolean {
  return scope.deadline !== Number.POSITIVE_INFINITY && !scope.cancelState.expired && !scope.closed;
}
