/**
 * Running a program: a loop, a main task, and an orderly end.
 *
 * Deadlock, a signal and an abort take one path: main is cancelled, its `finally` blocks run, and when it has ended the
 * rest is shut down: leftover tasks are cancelled and awaited, until none is left (S175; repeated, unlike S177); what
 * failed unobserved is reported; the loop closes. Only then does the call settle, or the process end by the signal.
 */

import { checkSignal } from "../kernel/abort.ts";
import { type Context, copyContext } from "../kernel/context-var.ts";
import {
  argumentError,
  CancelledError,
  checkCoroutine,
  checkSeconds,
  DeadlockError,
  InvalidStateError,
  rangeError,
} from "../kernel/errors.ts";
import { reportUnobserved } from "../kernel/failure.ts";
import type { FutureListener } from "../kernel/future.ts";
import { HostLoop, here } from "../kernel/here.ts";
import { abandonedHooks, type HostTimer, leftRun, realHost } from "../kernel/host.ts";
import { EventLoop } from "../kernel/loop.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { formatSeconds, type Timer } from "../kernel/timers.ts";
import type { Cancellation, Wait } from "../kernel/wait.ts";
import { type Dependent, dependentsOf } from "../ports/dependents.ts";
import { reportForgotten } from "./forgotten.ts";
import { checkSignalNames, type SignalName, SignalWatch } from "./signals.ts";

export interface RunOptions {
  /** Reports slow steps, cut-off branches and swallowed cancellations. @default the loop's, ASYNCIO_DEBUG=1 */
  readonly debug?: boolean | undefined;
  /** The loop to run on; it is not closed afterwards. @default a HostLoop of its own */
  readonly loop?: EventLoop | undefined;
  /** Which signals cancel main; false for none. @default ["SIGINT", "SIGTERM"] */
  readonly signals?: readonly SignalName[] | false | undefined;
  /** Seconds between a cancellation and its insisting repetition. @default 5 */
  readonly cancelGrace?: number | undefined;
  /** Seconds that cancelled leftover tasks get to end; then they are reported, and the run ends without them. @default 10 */
  readonly shutdownDelay?: number | undefined;
  /** Cancels main when it aborts; the run then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_SHUTDOWN_DELAY = 10;
/** A host that runs dry twice, asks twice within microseconds; one that something has woken, after that. */
const SECOND_LOOK_SECONDS = 0.01;
const DEFAULT_SIGNALS: readonly SignalName[] = ["SIGINT", "SIGTERM"];

/**
 * Runs `main` as the main task and gives what it returns. When main has ended, tasks that are left are cancelled and
 * awaited. SIGINT and SIGTERM cancel main; when it has ended by that, the process dies by that signal, as a shell
 * expects (130, 143); a second signal ends it at once. Runs side by side are all cancelled. When nothing is left that could
 * wake main, the call rejects with a DeadlockError that lists the tasks and what they wait for.
 *
 * Inside a running program it is a root of its own, which is cancelled with its caller, and leaves signals alone.
 * Source: asyncio.run (S174 to S183), with the deviations of docs/design.md.
 *
 * @example
 * const answer = await asyncio.run(async () => await asyncio.sleep(0.001, 42));
 * assert.equal(answer, 42);
 */
export async function run<T>(main: Coroutine<T>, options: RunOptions = {}): Promise<T> {
  checkCoroutine("`run`", main);
  const runner = new Runner(options);
  try {
    return await runner.run(main);
  } finally {
    await runner.close();
  }
}

/** Runs that have not ended, in this process. */
let running = 0;
/** Loops that a run is using: two at once would cancel each other's tasks when they end. */
const busyLoops: WeakSet<EventLoop> = new WeakSet();
/** The runs that were called from code on a loop: while there are any, that loop waits for another one and is not dead. */
const nested: WeakMap<EventLoop, Set<Run<unknown>>> = new WeakMap();

function nestedOn(loop: EventLoop): Set<Run<unknown>> {
  const known = nested.get(loop);
  if (known !== undefined) return known;
  const runs = new Set<Run<unknown>>();
  nested.set(loop, runs);
  return runs;
}

/** Several runs on one loop, which share one context of context variables. Source: asyncio.Runner (S181). */
export class Runner {
  readonly #options: RunOptions;
  readonly #ownsLoop: boolean;
  #loop: EventLoop | undefined;
  #context: Context | undefined = undefined;
  #isRunning = false;
  #closed = false;

  constructor(options: RunOptions = {}) {
    checkOptions(options);
    const { loop } = options;
    this.#options = options;
    this.#loop = loop;
    this.#ownsLoop = loop === undefined;
  }

  /** The loop, made when it is first asked for. @throws InvalidStateError after `close`. */
  getLoop(): EventLoop {
    if (this.#closed) throw new InvalidStateError("`runner` is closed. Make another");
    const { debug, cancelGrace } = this.#options;
    this.#loop ??= new HostLoop({ debug, cancelGrace });
    return this.#loop;
  }

  /** As `run`, on the loop of this Runner, one at a time. */
  async run<T>(main: Coroutine<T>): Promise<T> {
    checkCoroutine("`runner.run`", main);
    const loop = this.getLoop();
    loop.checkOpen("`run`");
    if (busyLoops.has(loop))
      throw new InvalidStateError(
        "`run` was called on a loop that is running already. Use `createTask` on it, or another loop",
      );
    const scope = here();
    const stop = scope.interruption("run");
    if (stop !== undefined) await stop;
    this.#context ??= copyContext();
    const isNested = busyLoops.has(scope.loop);
    abandonedHooks.add(reportForgotten);
    busyLoops.add(loop);
    this.#isRunning = true;
    running++;
    scope.loop.io(1); // the caller's loop has work outside, until the run has shut down
    let run: Run<T> | undefined;
    try {
      run = new Run(loop, main, this.#context, this.#options, isNested);
      nestedOn(scope.loop).add(run);
      return await run.result();
    } catch (error) {
      if (error instanceof CancelledError && run?.isCallerCancelled === false) {
        // By then the host has asked for the branches that were cut off with the same error.
        await new Promise<void>((resolve) => realHost.macrotask(resolve));
        leftRun.add(error);
      }
      throw error;
    } finally {
      if (run !== undefined) nestedOn(scope.loop).delete(run);
      for (const tell of run?.whenEnded ?? []) tell();
      scope.loop.io(-1);
      running--;
      this.#isRunning = false;
      busyLoops.delete(loop);
    }
  }

  /** Closes the loop, unless it was passed in. Does nothing the second time. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#isRunning) {
      throw new InvalidStateError("`runner.close` was called while it runs. Await `run` first");
    }
    this.#closed = true;
    if (this.#ownsLoop) this.#loop?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkOptions(options: RunOptions): void {
  if (typeof options !== "object" || options === null)
    throw argumentError("`run`", "an object of options", options);
  checkSignal("`run`", options.signal);
  const { shutdownDelay, cancelGrace, debug, loop, signals } = options;
  for (const [name, seconds] of Object.entries({ shutdownDelay, cancelGrace })) {
    if (seconds === undefined) continue;
    checkSeconds("`run`", `\`${name}\` in seconds`, seconds);
    if (seconds < 0) throw rangeError("`run`", `\`${name}\` of 0 seconds or more`, seconds);
  }
  if (signals !== undefined && signals !== false)
    checkSignalNames("`run`", "`signals` to be false or an array", signals);
  if (loop !== undefined && !(loop instanceof EventLoop))
    throw argumentError(
      "`run`",
      "`loop` to be an event loop",
      loop,
      "Make one with `new HostLoop()`",
    );
  if (loop !== undefined && (debug !== undefined || cancelGrace !== undefined)) {
    throw argumentError(
      "`run`",
      "`debug` and `cancelGrace` to be given to the loop, where there is a `loop` option",
      options,
    );
  }
}

/** One call of `run`. */
class Run<T> implements FutureListener {
  readonly #loop: EventLoop;
  readonly #main: Task<T>;
  readonly #options: RunOptions;
  readonly #signals: SignalWatch;
  /** The task it was called from, if any. */
  readonly #caller: Task<unknown> | undefined;
  /** Told when it has ended, all of it. */
  readonly whenEnded: (() => void)[] = [];
  /** Tasks that were there before, on a loop that was passed in: not ours to cancel. */
  readonly #foreign: ReadonlySet<Task<unknown>>;
  /** Runs that were called there before. */
  readonly #nestedBefore: ReadonlySet<Run<unknown>>;
  /** What was open there before. */
  readonly #openBefore: ReadonlySet<Dependent>;
  /** The caller, waiting for main to end. */
  readonly #join: Wait<void>;
  readonly #shutdownDelay: number;
  /** Set once main was cancelled: the run does not wait for it for ever. */
  #mainTimer: Timer | undefined = undefined;
  /** Set iff the host ran dry just now, and something else may wake main: if it is dry again at once, nothing has. */
  #secondLook: HostTimer | undefined = undefined;
  /** True iff a signal came when main had ended: it does not change that, and ends the process after the shutdown. */
  #isSignalLate = false;
  /** Set iff the loop found that main would never end. */
  #dead: Error | undefined = undefined;

  constructor(
    loop: EventLoop,
    main: Coroutine<T>,
    context: Context,
    options: RunOptions,
    isNested: boolean,
  ) {
    this.#loop = loop;
    this.#options = options;
    this.#shutdownDelay = options.shutdownDelay ?? DEFAULT_SHUTDOWN_DELAY;
    this.#caller = here().task;
    this.#foreign = new Set(loop.tasks.toArray());
    this.#nestedBefore = new Set(nestedOn(loop));
    this.#openBefore = new Set(dependentsOf(loop));
    this.#join = park<void>(
      here(),
      { describeWait: () => "a run to end" },
      (_wait, cancellation) => {
        // The end of the caller's scope does not hurry a main that is cleaning up: the outer run waits for it.
        const isKnown = cancellation.source === "closed" && this.#main.cancelling() > 0;
        if (!isKnown) this.#main.forwardCancel(cancellation);
        return false;
      },
    );
    this.#main = new Task(loop, main, { name: "main", context, signal: options.signal });
    this.#main.listen(this);
    this.#main.scope.addCancelHook((cancellation) => this.#mainCancelled(cancellation));
    const names = isNested ? false : (options.signals ?? DEFAULT_SIGNALS);
    this.#signals = new SignalWatch(names === false ? [] : names, (name) => this.#signalled(name));
  }

  async result(): Promise<T> {
    this.#main.observe();
    const stopWatching = this.#loop.host.onDry((error) => this.#ranDry(error));
    try {
      await this.#join.promise;
    } finally {
      if (this.#mainTimer !== undefined) this.#loop.cancelTimer(this.#mainTimer);
      await this.#shutDown();
      stopWatching();
      this.#secondLook?.clear();
      if (this.#isSignalLate && this.#main.state === "rejected") {
        const message = "main has failed, and the process ends by a signal that came after that";
        this.#loop.callExceptionHandler({ message, exception: this.#main.failure });
      }
      await this.#signals.stop(this.#main.cancelled() || this.#isSignalLate);
    }
    const { signal } = this.#options;
    if (this.#main.cancelled()) {
      if (this.#dead !== undefined) throw this.#dead;
      if (signal?.aborted === true && this.#main.scope.owns(this.#main.failure))
        throw signal.reason;
    }
    return this.#main.result();
  }

  /** True iff the caller was cancelled, or its scope has ended, while it waited. */
  get isCallerCancelled(): boolean {
    return this.#join.cancellation !== undefined;
  }

  #signalled(name: SignalName): void {
    this.#isSignalLate = this.#main.done();
    this.#main.cancelFor("shutdown", name);
  }

  /** @internal Main has ended. */
  futureDone(): void {
    const { cancellation } = this.#join;
    if (cancellation !== undefined && this.#main.cancelled())
      this.#join.endCancelled(cancellation, this.#main.failure);
    else this.#join.resume();
  }

  /** The host has nothing left to do, and main has not ended; or the loop says in its own words that it never will. */
  #ranDry(error?: Error): void {
    if (this.#main.done() || (error === undefined && nestedOn(this.#loop).size > 0)) return;
    const isSecondTime = this.#dead !== undefined;
    this.#loop.host.macrotask(() => {}); // else the host would not tell us a second time
    if (error === undefined && this.#mayBeWoken() && this.#secondLook === undefined) {
      this.#secondLook = realHost.setTimer(realHost.now() + SECOND_LOOK_SECONDS, () => {
        this.#secondLook = undefined; // the host has gone on: it was not dry
      });
      this.#secondLook.unref();
      return;
    }
    const tasks = this.#loop.tasks.toArray();
    this.#dead ??= error ?? new DeadlockError(tasks, tasks.map(describeTask));
    // What sits in a foreign await that nothing will end any more cannot be told; nor has it a `finally` that could run.
    if (isSecondTime || this.#main.waitingFor().length === 0) this.#main.abandon();
    else this.#main.cancelFor("shutdown", this.#dead.name);
  }

  /** Whether something else may hear that the host ran dry, and then wake main: another run, or a listener of the program. */
  #mayBeWoken(): boolean {
    if (running > 1 && this.#main.waitingFor().length === 0) return true; // for the other run, which is being ended now
    const isReal = this.#loop.host === realHost && typeof process !== "undefined";
    return isReal && process.listenerCount("beforeExit") > 1; // one is ours
  }

  /** Main was cancelled, by a signal, an abort or its caller: it has `shutdownDelay` to end. */
  #mainCancelled({ source }: Cancellation): void {
    const isFromOutside =
      source === "shutdown" || source === "abort" || this.#join.cancellation !== undefined;
    if (!isFromOutside || this.#dead !== undefined || this.#mainTimer !== undefined) return;
    this.#mainTimer = this.#loop.addTimer(this.#loop.time() + this.#shutdownDelay, {
      timerDue: () => {
        this.#mainTimer = undefined;
        if (this.#main.cancelling() > 0) this.#abandon([this.#main]); // else it has taken the cancellation back
      },
    });
  }

  /** Cancels what is left and waits for it, again and again until nothing is: tasks may start tasks while they end. */
  async #shutDown(): Promise<void> {
    const deadline = this.#loop.time() + this.#shutdownDelay;
    const cancelled = new Set<Task<unknown>>();
    for (let left = this.#leftovers(); left.length > 0; left = this.#leftovers()) {
      for (const task of left) {
        // A task that is ending because of an earlier cancellation may go on cleaning up; its grace period is running.
        if (!cancelled.has(task) && !task.scope.isEnding) task.cancelFor("shutdown");
        cancelled.add(task);
        // After a deadlock nothing will ever end a foreign await.
        if (this.#dead !== undefined && task.waitingFor().length === 0) task.abandon();
      }
      if (await this.#allEnded(left, deadline)) continue;
      this.#abandon(this.#leftovers());
      break;
    }
    await this.#cleanupsEnded(deadline);
    await this.#nestedEnded(deadline);
    await this.#dependentsEnded(deadline);
    reportUnobserved(this.#loop);
  }

  /** Ends the processes and sockets that were left open, and waits until they are gone; at `deadline` it kills. */
  async #dependentsEnded(deadline: number): Promise<void> {
    const loop = this.#loop;
    const left = dependentsOf(loop).filter((dependent) => !this.#openBefore.has(dependent));
    if (left.length === 0) return;
    if (loop.debug) {
      const lines = left.map((dependent) => `  ${dependent.describe()}`).join("\n");
      const message = `the run has ended what was left open:\n${lines}`;
      loop.callExceptionHandler({ message });
    }
    loop.io(1); // what is waited for is outside: virtual time holds still
    await new Promise<void>((resolve) => {
      const killAll = (): void => {
        for (const dependent of left) dependent.kill?.();
        resolve();
      };
      const timer = loop.addTimer(deadline, { timerDue: killAll });
      const ended = Promise.all(left.map((dependent) => dependent.end()));
      ended.then(() => {
        loop.cancelTimer(timer);
        resolve();
      });
    });
    loop.io(-1);
  }

  /** Waits for what floating branches do in `cleanup` after they were cut off, one after the other, until `deadline`. */
  async #cleanupsEnded(deadline: number): Promise<void> {
    const loop = this.#loop;
    if (!loop.hasCutBranches) return;
    for (;;) {
      await new Promise<void>((resolve) => loop.host.macrotask(resolve)); // by then a branch that was cut off has come to its next `cleanup`
      const ours = [...loop.shielded].filter(
        ({ task }) => task === undefined || !this.#foreign.has(task),
      );
      if (ours.length === 0) return;
      const closed = await Promise.all(ours.map((scope) => this.#closed(scope, deadline)));
      if (closed.includes(false)) break;
    }
    const message = `branches that were cut off have not cleaned up within ${formatSeconds(this.#shutdownDelay)}, and will be left behind`;
    loop.callExceptionHandler({ message });
  }

  /** Cancels the runs that were called from this one and that nobody awaits, and waits for them until `deadline`. */
  async #nestedEnded(deadline: number): Promise<void> {
    for (let left = this.#nestedRuns(); left.length > 0; left = this.#nestedRuns()) {
      for (const run of left) if (run.#main.cancelling() === 0) run.#main.cancelFor("shutdown");
      const ended = await Promise.all(left.map((run) => this.#runEnded(run, deadline)));
      if (!ended.includes(false)) continue;
      const message = `a run has not ended within ${formatSeconds(this.#shutdownDelay)}, and will be left behind: the run that it was called from is over`;
      this.#loop.callExceptionHandler({ message });
      return;
    }
  }

  #nestedRuns(): Run<unknown>[] {
    return [...nestedOn(this.#loop)].filter(
      (run) =>
        (run as unknown) !== this &&
        !this.#nestedBefore.has(run) &&
        (run.#caller === undefined || !this.#foreign.has(run.#caller)),
    );
  }

  /** Waits until `run` has ended, all of it; false if `deadline` comes first. */
  #runEnded(run: Run<unknown>, deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#loop.addTimer(deadline, { timerDue: () => resolve(false) });
      run.whenEnded.push(() => {
        this.#loop.cancelTimer(timer);
        resolve(true);
      });
    });
  }

  /** Waits until `scope` closes; false if `deadline` comes first. */
  #closed(scope: Scope, deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const loop = this.#loop;
      const timer = loop.addTimer(deadline, { timerDue: () => resolve(false) });
      const trouble = scope.inTrouble();
      const { onClose } = trouble;
      trouble.onClose = () => {
        onClose?.();
        loop.cancelTimer(timer);
        resolve(true);
      };
    });
  }

  #leftovers(): Task<unknown>[] {
    return this.#loop.tasks.toArray().filter((task) => !this.#foreign.has(task));
  }

  /** Waits until all `tasks` have ended; false if `deadline` comes first. */
  #allEnded(tasks: Task<unknown>[], deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const loop = this.#loop;
      const timer = loop.addTimer(deadline, { timerDue: () => resolve(false) });
      let missing = tasks.length;
      const listener: FutureListener = {
        futureDone(task) {
          if (task.state === "rejected") {
            task.observe();
            const message = `${task.describe()} has failed while the run was shutting down`;
            loop.callExceptionHandler({
              message,
              exception: task.failure,
              task: task as Task<unknown>,
            });
          }
          if (--missing > 0) return;
          loop.cancelTimer(timer);
          resolve(true);
        },
      };
      for (const task of tasks) task.listen(listener);
    });
  }

  /** Lists the tasks that would not end, and takes their waits away: nothing of them runs in this loop any more. */
  #abandon(tasks: Task<unknown>[]): void {
    const lines = tasks.map((task) => `  ${describeTask(task)}`).join("\n");
    const what = tasks.length === 1 ? "a task has" : `${tasks.length} tasks have`;
    const message = `${what} not ended ${formatSeconds(this.#shutdownDelay)} after being cancelled, and will be left behind:\n${lines}`;
    this.#loop.callExceptionHandler({ message });
    for (const task of tasks) task.abandon();
  }
}

function describeTask(task: Task<unknown>): string {
  const waits = task.waitingFor();
  return `${task.describe()} ${waits.length === 0 ? "sits in a foreign await" : `is waiting for ${waits.join(" and ")}`}`;
}
