/**
 * The event loop: the ready queue, the timers, the clock, and the live tasks.
 *
 * A wait that ends joins the ready queue, which a drain empties in order. Each `step()` settles one
 * promise, and the engine goes on in the microtask after it. On the real host a step that nothing
 * is ahead of happens at once. When the budget is spent, the drain waits for a macrotask, so that
 * the host has its turn (R9). Over an exact host, and in debug mode, a drain is one step.
 */

import {
  advice,
  argumentError,
  checkOptions,
  checkSeconds,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import { environmentVariable } from "../ports/js-host.ts";
import type { Context } from "../structures/context-values.ts";
import { LinkedList } from "../structures/linked-list.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { type Timer, TimerHeap, type TimerTarget } from "../structures/timers.ts";
import { type Callback, Handle } from "./callback.ts";
import { currentContext } from "./context.ts";
import { Gate, type Ready } from "./gate.ts";
import type { EventLoopOptions, Host, HostTimer } from "./host.ts";
import type { ExceptionContext, ExceptionHandler, FailureRecord } from "./reports.ts";
import { formatReport, noteStep } from "./reports.ts";
import type { Scope } from "./scope.ts";
import { settled } from "./settlers.ts";
import type { Task } from "./task.ts";

const KNOWN: Names<EventLoopOptions> = { debug: "boolean", cancelGrace: 1 };
const BUDGET = 512; // completions between two macrotasks
const BUDGET_SECONDS = 0.001; // between two macrotasks
const CLOCK_EVERY = 64; // completions between two looks at the clock: one costs 50 ns
const GATE_PLACES = 32; // a drain counts a gate as one step: it has to keep to the budget

/**
 * The ready queue, the timers and the clock of a run: a `HostLoop`, or in tests a `VirtualLoop`.
 *
 * @example
 * const loop: asyncio.EventLoop = asyncio.getRunningLoop();
 * assert.ok(loop.time() <= loop.time());
 */
export class EventLoop {
  /** Seconds that a cancelled scope has to end before it is cancelled again; 0 is none. */
  readonly cancelGrace: number;
  /** Seconds; debug mode reports steps that take longer. */
  slowCallbackDuration = 0.1;
  /** @internal */ readonly host: Host;
  /** @internal */ debug = false;
  /** @internal Whether steps run one at a time. */ isExact = true;
  /** @internal Whether branches that were cut off are reported. */ reportsFloating = true;
  /** @internal The live tasks, in the order of creation, held strongly: no task vanishes. */
  readonly tasks: LinkedList<Task<unknown>> = new LinkedList();
  /** @internal How many tasks were made without a name. */ unnamed = 0;
  /** @internal The run that has ended, in words. */ endedRun: string | undefined;
  /** @internal Whether a scope has cut branches off. */ hasCutBranches = false;
  /** @internal Shields, for which a run waits. */ readonly shielded: Set<Scope> = new Set();
  /** @internal Failures not looked at. */ readonly unobserved: Set<FailureRecord> = new Set();
  /** @internal */ readonly timers: TimerHeap = new TimerHeap();
  /** @internal How many deadlines were set in scopes whose bodies ran already. */ deadlinesSet = 0;
  /** @internal How many drains there were. */ turns = 0;
  #stepsAtOnce = false;
  readonly #ready: RingBuffer<Ready> = new RingBuffer();
  #lastGate: Gate | undefined; // the last in #ready, if others may wait at it too
  #hostTimer: HostTimer | undefined;
  #hostTimerWhen = 0;
  #drainDue = false; // whether a drain is scheduled. Something is ready only if it is
  #spent = 0;
  #checkAt = CLOCK_EVERY; // what may be spent until the next look at the clock
  #turnCheckAt = 0; // the same, when a turn is asked for
  #hoppedAt: number;
  #closed = false;
  #exceptionHandler: ExceptionHandler | undefined;

  constructor(host: Host, options: EventLoopOptions = {}) {
    const api = `\`new ${new.target.name}\``;
    checkOptions(api, options, KNOWN);
    const { cancelGrace = 5, debug = environmentVariable("ASYNCIO_DEBUG") === "1" } = options;
    checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
    this.host = host;
    this.#hoppedAt = host.now();
    this.setDebug(debug);
    this.cancelGrace = Math.max(cancelGrace, 0);
  }
  /** Whether debug mode is on. */
  getDebug(): boolean {
    return this.debug;
  }
  /** Turns debug mode on or off, for what begins from now on. */
  setDebug(enabled: boolean): void {
    if (typeof enabled !== "boolean") throw argumentError("`loop.setDebug`", "a boolean", enabled);
    const { exact = false, stepsAtOnce = false, strict = false } = this.host;
    if (!enabled) noteStep(this); // what runs now is no step of debug mode any more
    this.debug = enabled;
    this.isExact = exact || enabled;
    this.#stepsAtOnce = stepsAtOnce && !this.isExact;
    this.reportsFloating = strict || enabled;
    this.#checkAt = enabled ? 0 : CLOCK_EVERY;
    this.#lastGate = undefined;
  }
  /** Seconds on the clock of this loop, which never goes back; its zero means nothing. */
  time(): number {
    return this.host.now();
  }
  /** Calls `callback` with `args` after all that is ready now, in a copy of the current context. */
  callSoon<A extends unknown[]>(callback: (...a: A) => void, ...args: A): Handle {
    this.checkOpen("`loop.callSoon`");
    const handle = new Handle("`loop.callSoon`", this, callback, args);
    handle.timerDue();
    return handle;
  }
  /** Calls `callback` with `args`, `delay` seconds from now; equal deadlines, in the order set. */
  callLater<A extends unknown[]>(delay: number, callback: (...a: A) => void, ...args: A): Handle {
    checkSeconds("`loop.callLater`", "a delay in seconds", delay);
    return this.#schedule("`loop.callLater`", this.time() + Math.max(delay, 0), callback, args);
  }
  /** Calls `callback` with `args` at `when`, in seconds on the clock of `time()`. */
  callAt<A extends unknown[]>(when: number, callback: (...a: A) => void, ...args: A): Handle {
    checkSeconds("`loop.callAt`", "a time in seconds on the clock of `loop.time()`", when);
    return this.#schedule("`loop.callAt`", when, callback, args);
  }
  #schedule(api: string, when: number, callback: Callback, args: unknown[]): Handle {
    this.checkOpen(api);
    const handle = new Handle(api, this, callback, args);
    handle.timer = this.addTimer(when, handle);
    if (this.isExact) this.host.called?.(handle);
    return handle;
  }
  /** How many steps are ready, timers set, and tasks alive. */
  statistics(): Readonly<Record<"ready" | "timers" | "tasks", number>> {
    const [ready, timers, tasks] = [this.#ready.length, this.timers.live, this.tasks.size];
    return Object.freeze({ ready, timers, tasks });
  }
  /** True once `close` was called. */
  isClosed(): boolean {
    return this.#closed;
  }
  /** Drops the timers; nothing starts after it. @throws InvalidStateError while tasks are alive. */
  close(): void {
    const { size } = this.tasks;
    const found = `\`loop.close\` found ${size} live tasks${advice("Cancel and await them first")}`;
    if (size > 0) throw new InvalidStateError(found);
    this.#closed = true;
    this.timers.clear();
    this.#hostTimer?.clear();
    this.#hostTimer = undefined;
  }
  /** @internal */ checkOpen(api: string): void {
    if (!this.#closed) return;
    const why = this.endedRun === undefined ? "" : `: ${this.endedRun} has ended`;
    const closed = `was called on a closed loop${why}${advice("Each `run` has a loop of its own")}`;
    throw new InvalidStateError(`${api} ${closed}`);
  }
  /** Reports to `handler`; undefined: to stderr. A handler that fails is reported itself. */
  setExceptionHandler(handler: ExceptionHandler | undefined): void {
    if (handler !== undefined && typeof handler !== "function")
      throw argumentError("`loop.setExceptionHandler`", "a function", handler);
    this.#exceptionHandler = handler;
  }
  /** Reports `context`, in the context variables of what has failed: `variables`, or its task's. */
  callExceptionHandler(context: ExceptionContext, variables?: Context): void {
    const handler = this.#exceptionHandler;
    if (handler === undefined) return void this.defaultExceptionHandler(context);
    const failed = (exception: unknown): void => {
      this.defaultExceptionHandler({ message: "the exception handler has failed", exception });
      this.defaultExceptionHandler(context);
    };
    try {
      const values = variables ?? context.task?.scope.context ?? currentContext();
      const result: unknown = values.run(() => handler(this, context));
      if (isThenable(result)) result.then(undefined, failed); // it is an async function
    } catch (exception) {
      failed(exception);
    }
  }
  /** Shows `context` on stderr: what reports do that no handler was set for. */
  defaultExceptionHandler(context: ExceptionContext): void {
    this.host.report(formatReport(context));
  }
  /** @internal Lets a step have its turn: now, or behind what is ready. */
  enqueue(item: Ready, hasToWait = false): void {
    if (!hasToWait && this.spendNow()) return void item.step();
    this.#lastGate = undefined;
    this.#ready.push(item);
    if (!this.#drainDue) this.#scheduleDrain();
  }
  /** @internal Counts a completion that may happen now. False: something is ahead, or no room. */
  spendNow(): boolean {
    return !this.#drainDue && this.#stepsAtOnce && this.spend();
  }
  /** @internal Fulfilled after all that is ready now. Calls in a row may give the same promise. */
  nextTurn(scope: Scope): Promise<void> {
    if (this.#spent >= this.#turnCheckAt) this.#checkAt = 0; // a long computation asks for turns
    if (this.spendNow()) return settled;
    const last = this.#lastGate;
    if (last !== undefined && last.waiting < GATE_PLACES) {
      last.waiting++;
      return last.promise;
    }
    const gate = new Gate(scope);
    this.enqueue(gate, true);
    if (!this.isExact) this.#lastGate = gate;
    return gate.promise;
  }
  /** @internal Counts a completion. False: it has to wait for a drain, and the host comes first. */
  spend(amount = 1): boolean {
    this.#spent += amount;
    return this.#spent < this.#checkAt || this.#checkBudget();
  }
  #checkBudget(): boolean {
    if (this.#spent >= BUDGET) return false;
    const isLate = this.host.exact !== true && this.time() - this.#hoppedAt > BUDGET_SECONDS;
    if (isLate) this.exhaustBudget();
    else if (!this.debug) this.#checkAt = Math.min(this.#spent + CLOCK_EVERY, BUDGET);
    this.#turnCheckAt = this.#spent * 2;
    return !isLate;
  }
  /** @internal Makes the next drain wait for a macrotask: what runs now comes first. */
  exhaustBudget(): void {
    this.#spent = BUDGET;
  }
  /** @internal Lets the turn end, also where no step is ready. */
  ensureDrain(): void {
    if (!this.#drainDue) this.#scheduleDrain();
  }
  /** @internal With a `when` of Infinity it only keeps the process alive, until it is cancelled. */
  addTimer(when: number, target: TimerTarget): Timer {
    const timer = this.timers.add(when, target);
    if (this.#closed) return timer; // of a branch that has outlived its run
    if (this.timers.live === 1) this.#hostTimer?.ref();
    if (this.#hostTimer === undefined || when < this.#hostTimerWhen) this.#armHostTimer(when);
    return timer;
  }
  /** @internal */ cancelTimer(timer: Timer | undefined): void {
    if (timer === undefined) return;
    this.timers.cancel(timer);
    if (this.timers.live === 0) this.#hostTimer?.unref(); // one early wake-up is cheaper than clearing it
  }
  /** @internal Whether no step is ready or running. */ get isIdle(): boolean {
    return !this.#drainDue;
  }
  #armHostTimer(when: number): void {
    this.#hostTimer?.clear();
    this.#hostTimerWhen = when;
    this.#hostTimer = this.host.setTimer(when, this.#timersDue);
  }
  readonly #timersDue = (): void => {
    this.#hostTimer = undefined;
    this.hostTurned();
    this.timers.fireDue(this.time());
    if (this.timers.live > 0) this.#armHostTimer(this.timers.next());
  };
  #scheduleDrain(): void {
    this.#drainDue = true;
    if (this.#spent >= BUDGET) this.host.macrotask(this.#drainAfterHop);
    else if (this.isExact) this.host.afterMicrotasks(this.#drainOneStep);
    else this.host.microtask(this.#drain);
  }
  /** @internal The host had its turn, and calls. */ hostTurned(): void {
    this.#spent = this.#turnCheckAt = 0;
    this.#checkAt = this.debug ? 0 : CLOCK_EVERY;
    this.#hoppedAt = this.time();
  }
  readonly #drainAfterHop = (): void => {
    this.hostTurned();
    if (this.isExact) this.#drainOneStep();
    else this.#drain();
  };
  readonly #drain = (): void => {
    if (this.#spent < BUDGET) this.turns++;
    this.#drainDue = false;
    const ready = this.#ready;
    for (let count = ready.length; count > 0 && this.spend(); count--) ready.shift().step();
    if (ready.length === 0) this.#lastGate = undefined; // it was opened
    if (ready.length > 0 && !this.#drainDue) this.#scheduleDrain();
  };
  readonly #drainOneStep = (): void => {
    this.turns++;
    this.#drainDue = false;
    if (this.debug) noteStep(this);
    const ready = this.#ready;
    if (ready.length === 0) this.host.idle?.();
    else if (this.spend()) {
      this.#drainDue = true; // before the host chooses: it may make something ready
      const item = ready.take(this.host.choose?.(ready) ?? 0);
      if (this.debug) noteStep(this, item);
      item.step();
      this.host.afterMicrotasks(this.#drainOneStep);
    } else this.#scheduleDrain();
  };
}
