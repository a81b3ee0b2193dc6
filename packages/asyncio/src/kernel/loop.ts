/**
 * The event loop: the ready queue, the timers, the clock, and the live tasks; rides on the
 * JavaScript host.
 *
 * Who wakes a task? Somebody completes its wait (wait.ts) or a timer does; the wait joins the ready
 * queue; the loop drains the queue in that order, and each `step()` settles one promise, so the
 * engine continues the task in the microtask after it. Callbacks too are reactions of promises that
 * a step settles, in the context of their owners.
 *
 * How does a deadline fire? There is one host timer, set for the earliest deadline. When it fires,
 * all timers that are due wake their targets, which join the ready queue.
 *
 * On the real host a step that nothing is ahead of happens at once: what it lets go on does so in a
 * microtask, behind all that earlier steps have let go on, so the microtasks of the engine are the
 * ready queue, at the speed of promises. When the budget is spent, steps wait for a drain, and the
 * drain for a macrotask: timers and I/O of the host have their turn (R9). Over an exact host, and
 * in debug mode, a drain is one step, and the next waits until all microtasks have run.
 */

import {
  argumentError,
  checkOptions,
  checkSeconds,
  InvalidStateError,
  isThenable,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { formatReport } from "../errors/report.ts";
import { environmentVariable } from "../ports/js-host.ts";
import { LinkedList } from "../structures/linked-list.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { type Timer, TimerHeap, type TimerTarget } from "../structures/timers.ts";
import { checkCallback, Handle } from "./callback.ts";
import { reportIfSlow } from "./debug.ts";
import type { ExceptionContext, ExceptionHandler, FailureRecord } from "./failure.ts";
import { Gate, type Ready } from "./gate.ts";
import {
  type EventLoopOptions,
  type Host,
  type HostTimer,
  realHost,
  type Watched,
} from "./host.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import { type Context, currentContext } from "./variables.ts";

const KNOWN: Names<EventLoopOptions> = { debug: 1, cancelGrace: 1 };

/**
 * Completions between two macrotask hops; and seconds, looked at every CLOCK_EVERY completions: the
 * clock costs 90 ns.
 */
const BUDGET = 512;
const BUDGET_SECONDS = 0.001;
const CLOCK_EVERY = 64;
/** How many wait at one gate: a drain opens it as one step, and has to keep to the budget. */
const GATE_PLACES = 32;

/**
 * The ready queue, the timers and the clock of a run. Programs have a `HostLoop`, tests a
 * `VirtualLoop`.
 *
 * @example
 * const loop: asyncio.EventLoop = asyncio.getRunningLoop();
 * assert.ok(loop.time() <= loop.time());
 */
export class EventLoop {
  /** @internal */ debug = false;
  /** Seconds that a cancelled scope has to end before it is cancelled again; 0 is none. */
  readonly cancelGrace: number;
  /** Seconds; debug mode reports steps that take longer. */
  slowCallbackDuration = 0.1;
  /**
   * @internal The live tasks, in the order of creation. The loop holds them strongly: no task
   * vanishes.
   */
  readonly tasks: LinkedList<Task<unknown>> = new LinkedList();
  /**
   * @internal How many tasks were made without a name: names count from 1 on each loop, so runs
   * repeat.
   */
  unnamed = 0;
  /** @internal The run that it had, in words, once that has ended. */
  endedRun: string | undefined = undefined;
  /** @internal True once a scope has ended on floating branches. */
  hasCutBranches = false;
  /** @internal Shielded scopes that have not ended: a run waits for them, they are cleaning up. */
  readonly shielded: Set<Scope> = new Set();
  /** @internal Failures that nobody has looked at yet (failure.ts). */
  readonly unobserved: Set<FailureRecord> = new Set();

  /** @internal */ readonly host: Host;
  /** @internal True iff steps run one at a time. */ isExact = true;
  /** @internal True iff branches that were cut off are reported. */ reportsFloating = true;
  #stepsAtOnce = false;
  readonly #ready: RingBuffer<Ready> = new RingBuffer();
  /** The last step in the ready queue, if it is a gate that others may wait at too. */
  #lastGate: Gate | undefined = undefined;
  readonly #timers: TimerHeap = new TimerHeap();
  #hostTimer: HostTimer | undefined = undefined;
  /** When the host timer fires; Infinity iff there is none. */
  #hostTimerWhen = Number.POSITIVE_INFINITY;
  /** True iff a drain is scheduled. Something is ready only if it is. */
  #drainDue = false;
  /** @internal How many deadlines were set in scopes whose bodies ran already. */
  deadlinesSet = 0;
  /** @internal How many drains there were. */ turns = 0;
  #spent = 0;
  /** How much may be spent until the budget and the clock have to be looked at. */
  #checkAt = CLOCK_EVERY;
  #hoppedAt = 0;
  #stepStartedAt = 0;
  #stepping: Ready | undefined = undefined;
  #closed = false;
  #exceptionHandler: ExceptionHandler | undefined = undefined;

  constructor(host: Host, options: EventLoopOptions = {}) {
    const api = `\`new ${new.target.name}\``;
    checkOptions(api, options, KNOWN);
    const { cancelGrace = 5, debug = environmentVariable("ASYNCIO_DEBUG") === "1" } = options;
    checkSeconds(api, "`cancelGrace` in seconds", cancelGrace);
    this.host = host;
    this.setDebug(Boolean(debug));
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
    this.debug = enabled;
    this.isExact = exact || enabled;
    this.#stepsAtOnce = stepsAtOnce && !this.isExact;
    this.reportsFloating = strict || enabled;
    this.#lastGate = undefined;
  }

  /** Seconds on the clock of this loop, which never goes back; its zero means nothing. */
  time(): number {
    return this.host.now();
  }

  /**
   * Calls `callback` with `args` in the next iteration, after everything that is ready now, in a
   * copy of the current context.
   */
  callSoon<A extends unknown[]>(callback: (...args: A) => void, ...args: A): Handle {
    this.checkOpen("`loop.callSoon`");
    const handle = new Handle("`loop.callSoon`", this, callback, args);
    handle.timerDue();
    return handle;
  }

  /**
   * Calls `callback` with `args`, `delay` seconds from now. Equal deadlines fire in the order in
   * which they were set.
   */
  callLater<A extends unknown[]>(
    delay: number,
    callback: (...args: A) => void,
    ...args: A
  ): Handle {
    checkSeconds("`loop.callLater`", "a delay in seconds", delay);
    this.checkOpen("`loop.callLater`");
    checkCallback("`loop.callLater`", callback);
    return this.callAt(this.time() + Math.max(delay, 0), callback, ...args);
  }

  /** Calls `callback` with `args` at `when`, in seconds on the clock of `time()`. */
  callAt<A extends unknown[]>(when: number, callback: (...args: A) => void, ...args: A): Handle {
    checkSeconds("`loop.callAt`", "a time in seconds on the clock of `loop.time()`", when);
    this.checkOpen("`loop.callAt`");
    const handle = new Handle("`loop.callAt`", this, callback, args, when);
    handle.timer = this.addTimer(when, handle);
    if (this.isExact) this.host.called?.(handle);
    return handle;
  }

  /** How many steps are ready, timers set, and entries in the timer heap. */
  statistics(): Readonly<Record<"ready" | "timers" | "heapSize" | "tasks", number>> {
    const { live: timers, size: heapSize } = this.#timers;
    const [ready, tasks] = [this.#ready.length, this.tasks.size];
    return Object.freeze({ ready, timers, heapSize, tasks });
  }

  /** True once `close` was called. */
  isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Drops the timers. Nothing can be started on a closed loop. @throws InvalidStateError while
   * tasks are alive.
   */
  close(): void {
    if (this.tasks.size > 0) {
      throw new InvalidStateError(
        `\`loop.close\` found ${this.tasks.size} live tasks. Cancel and await them first`,
      );
    }
    this.#closed = true;
    this.#timers.clear();
    this.#hostTimer?.clear();
    this.#hostTimer = undefined;
    this.#hostTimerWhen = Number.POSITIVE_INFINITY;
  }

  /** @internal */ checkOpen(api: string): void {
    if (!this.#closed) return;
    const why = this.endedRun === undefined ? "" : `: ${this.endedRun} has ended`;
    throw new InvalidStateError(
      `${api} was called on a closed loop${why}. Each \`run\` has a loop of its own`,
    );
  }

  // --- exceptions nobody else can be told

  /**
   * Reports to `handler` instead of stderr; undefined restores the default. A handler that fails is
   * reported itself.
   */
  setExceptionHandler(handler: ExceptionHandler | undefined): void {
    this.#exceptionHandler = handler;
  }

  /**
   * Reports `context`, which nobody else can be told, in the context variables of what has failed:
   * `variables`, or those of the task.
   */
  callExceptionHandler(context: ExceptionContext, variables?: Context): void {
    const handler = this.#exceptionHandler;
    if (handler === undefined) {
      this.defaultExceptionHandler(context);
      return;
    }
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

  // --- for operations

  /** @internal Lets a step have its turn: now, or behind what is ready. */
  enqueue(item: Ready, hasToWait = false): void {
    if (!hasToWait && this.isNow()) {
      item.step();
      return;
    }
    this.#lastGate = undefined;
    this.#ready.push(item);
    if (!this.#drainDue) this.#scheduleDrain();
  }

  /**
   * @internal Whether the turn of a step is now: nothing is ahead of it, and the budget has room.
   * Counts it (bench: lock).
   */
  isNow(): boolean {
    return !this.#drainDue && this.#stepsAtOnce && this.spend();
  }

  /**
   * @internal A promise that is fulfilled after everything that is ready now. Several calls in a
   * row may give the same one.
   */
  turn(scope: Scope): Promise<void> {
    if (this.isNow()) return Promise.resolve();
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

  /**
   * @internal Whether an operation that could complete in the call may do so. Counts it. After a
   * false it has to go through the ready queue, whose next drain lets the host have its turn first.
   */
  spend(amount = 1): boolean {
    this.#spent += amount;
    return this.#spent < this.#checkAt || this.#checkBudget();
  }

  #checkBudget(): boolean {
    if (this.#spent >= BUDGET) return false;
    if (!this.isExact && this.time() - this.#hoppedAt > BUDGET_SECONDS) {
      this.exhaustBudget();
      return false;
    }
    this.#checkAt = Math.min(this.#spent + CLOCK_EVERY, BUDGET);
    return true;
  }

  /**
   * @internal The next drain goes through a macrotask: so all that runs now comes to its next
   * operation before.
   */
  exhaustBudget(): void {
    this.#spent = BUDGET;
    this.#checkAt = 0;
  }

  /** @internal So that the turn ends. On an exact host one begins with each step. */
  ensureDrain(): void {
    if (!this.#drainDue && !this.isExact) this.#scheduleDrain();
  }

  /**
   * @internal `when` may be Infinity: the timer never fires, and keeps the process alive until it
   * is cancelled.
   */
  addTimer(when: number, target: TimerTarget): Timer {
    const timer = this.#timers.add(when, target);
    if (this.#closed) return timer; // for a branch that outlived its run: it must not keep the process alive
    if (this.#timers.live === 1) this.#hostTimer?.ref();
    if (when < this.#hostTimerWhen || this.#hostTimer === undefined) this.#armHostTimer(when);
    return timer;
  }

  /** @internal */ cancelTimer(timer: Timer): void {
    this.#timers.cancel(timer);
    // Left armed: setting and clearing host timers for each short timeout would cost more than one
    // early wake-up.
    if (this.#timers.live === 0) this.#hostTimer?.unref();
  }

  /** @internal Wakes what is due by now, before the host's timer does. */
  fireDueTimers(): void {
    for (const now = this.time(); this.#timers.fireNext(now); );
  }

  /** @internal What the timers that are set will wake, in no order. */
  timerTargets(): TimerTarget[] {
    return this.#timers.targets();
  }

  /** @internal True iff no step is ready or running. */
  get isIdle(): boolean {
    return !this.#drainDue;
  }

  /** @internal Somebody holds `resource`, on an exact loop: tests fail if it is not given back. */
  watch(resource: Watched): void {
    this.host.watch?.(resource);
  }

  /** @internal Work outside the loop has begun (1) or ended (-1). */
  io(change: 1 | -1): void {
    this.host.io?.(change);
  }

  #armHostTimer(when: number): void {
    this.#hostTimer?.clear();
    this.#hostTimerWhen = when;
    this.#hostTimer = this.host.setTimer(when, this.#timersDue);
  }

  readonly #timersDue = (): void => {
    this.#hostTimer = undefined;
    this.#hostTimerWhen = Number.POSITIVE_INFINITY;
    this.#hopped();
    this.fireDueTimers();
    if (this.#timers.live > 0) this.#armHostTimer(this.#timers.next());
  };

  // --- draining

  #scheduleDrain(): void {
    this.#drainDue = true;
    if (this.#spent >= BUDGET) this.host.macrotask(this.#drainAfterHop);
    else if (this.isExact) this.host.afterMicrotasks(this.#drainOneStep);
    else this.host.microtask(this.#drain);
  }

  readonly #drainAfterHop = (): void => {
    this.#hopped();
    if (this.isExact) this.#drainOneStep();
    else this.#drain();
  };

  #hopped(): void {
    this.#spent = 0;
    this.#checkAt = CLOCK_EVERY;
    this.#hoppedAt = this.time();
  }

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
    if (this.#stepping !== undefined && this.debug)
      reportIfSlow(this, this.#stepping, realHost.now() - this.#stepStartedAt);
    this.#stepping = undefined;
    const ready = this.#ready;
    if (ready.length === 0) this.host.idle?.();
    else if (this.spend()) {
      this.#drainDue = true; // before the host chooses: it may make something ready
      const item =
        this.host.choose === undefined ? ready.shift() : ready.take(this.host.choose(ready));
      this.#stepping = item;
      this.#stepStartedAt = this.debug ? realHost.now() : 0;
      item.step();
      this.host.afterMicrotasks(this.#drainOneStep);
    } else this.#scheduleDrain();
  };
}
