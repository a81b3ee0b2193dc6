/**
 * What a `run` and a `Runner` are: one loop, and one main after the other on it, until it is
 * closed. A `run` is closed when its main has ended; a `Runner` by hand, and until then its
 * background tasks live on, as in asyncio.
 *
 * Deadlock, a signal and an abort take one path: main is cancelled, its `finally` blocks run, and
 * when it has ended, the session goes on to its end or, a `Runner`, waits for the next main. Only
 * when all that was left has ended does the call settle, or the process end by the signal.
 */

import { CancelledError, InvalidStateError } from "../errors/errors.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { HostLoop, here } from "../kernel/operation.ts";
import { reportUnobserved } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Coroutine, Task } from "../kernel/task.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { abandonedHooks, leftRun } from "../ports/uncaught.ts";
import type { Context } from "../structures/context-values.ts";
import { watchCallbackVariables } from "../tasks/callback-variables.ts";
import { copyContext } from "../tasks/context-var.ts";
import { reportForgotten } from "./forgotten.ts";
import { MainRun } from "./main-run.ts";
import { DEFAULT_SHUTDOWN_DELAY, DEFAULT_SIGNALS, type RunOptions } from "./options.ts";
import { listeningServers } from "./servers.ts";
import { type Foreign, foreignOn, type InnerRun, runDueCallbacks, shutDown } from "./shutdown.ts";
import { type SignalName, type SignalTarget, SignalWatch } from "./signals.ts";

/** How a main is started. */
export interface Start {
  /** The call that was made, for messages. */
  readonly api: string;
  /** Where, as a line of a stack: "at main (file.ts:3:5)"; "" where the engine does not tell. */
  readonly site: string;
  /** True if the session ends with it. */
  readonly isOnly: boolean;
}

/** Mains that are under way, in this process. */
let running = 0;
/**
 * Loops that a main runs on, or that are shutting down: two at once would cancel each other's tasks
 * when they end.
 */
const busyLoops: WeakSet<EventLoop> = new WeakSet();
/** Loops of sessions that have begun and have not ended. */
const liveLoops: WeakSet<EventLoop> = new WeakSet();
/** The sessions that were begun by code on a loop. */
const inner: WeakMap<EventLoop, Set<Session>> = new WeakMap();

function innerOf(loop: EventLoop): Set<Session> {
  const known = inner.get(loop);
  if (known !== undefined) return known;
  const sessions = new Set<Session>();
  inner.set(loop, sessions);
  return sessions;
}

/**
 * The scope of the running code. Where its run has ended, nothing can wait in it any more: a new
 * root then.
 */
function scopeAround(): Scope {
  const scope = here();
  return scope.loop.endedRun === undefined ? scope : runInRoot(here);
}

/** What a session found when it began. */
interface Beginning {
  /** Where it was begun. */
  readonly around: Scope;
  readonly isNested: boolean;
  readonly context: Context;
  readonly signals: SignalWatch;
  readonly foreign: Foreign;
  readonly sessions: ReadonlySet<Session>;
  readonly servers: number;
  /**
   * Ends the watch for failures that were never looked at when the program ends without having
   * closed a Runner.
   */
  readonly stopWatching: () => void;
  /** Ends what debug mode watches. */
  readonly stopDebugging: () => void;
}

export class Session implements SignalTarget, InnerRun {
  readonly #options: RunOptions;
  readonly #ownsLoop: boolean;
  #loop: EventLoop | undefined;
  #beginning: Beginning | undefined = undefined;
  /** The last main. */
  #run: MainRun<unknown> | undefined = undefined;
  /** Where it was started. */
  #site = "";
  #isRunning = false;
  #closing: Promise<void> | undefined = undefined;
  #hasEnded = false;
  /**
   * True if a signal came when main had ended: it does not change that, and ends the process after
   * the shutdown.
   */
  #isSignalLate = false;
  /** Told when it has ended, all of it. */
  readonly #listeners: (() => void)[] = [];

  /** The options have been checked. */
  constructor(options: RunOptions) {
    this.#options = options;
    this.#loop = options.loop;
    this.#ownsLoop = options.loop === undefined;
  }

  getLoop(): EventLoop {
    if (this.#closing !== undefined)
      throw new InvalidStateError("`runner` is closed. Make another");
    const { debug, cancelGrace } = this.#options;
    this.#loop ??= new HostLoop({ debug, cancelGrace });
    return this.#loop;
  }

  async run<T>(main: Coroutine<T>, start: Start): Promise<T> {
    const loop = this.getLoop();
    loop.checkOpen(start.api);
    if (busyLoops.has(loop))
      throw new InvalidStateError(
        `${start.api} was called on a loop that is running already. Use \`createTask\` on it, or another loop`,
      );
    const around = scopeAround();
    const stop = around.interruption("run");
    if (stop !== undefined) await stop;
    loop.endedRun = undefined;
    this.#site = start.site;
    const { context, signals } = this.#begin(loop, around);
    this.#occupy(loop, around, 1);
    let run: MainRun<T> | undefined;
    try {
      run = new MainRun(loop, main, {
        around,
        context,
        shutdownDelay: this.#shutdownDelay,
        signal: this.#options.signal,
        hasRunsInside: () => [...innerOf(loop)].some((session) => session.#isRunning),
        hasRunsBeside: () => running > 1,
      });
      this.#run = run;
      signals.catchUp();
      try {
        await run.ended();
      } finally {
        await runDueCallbacks(loop);
        const isEndedBySignal = signals.isTold && (run.main.cancelled() || this.#isSignalLate);
        if (start.isOnly || isEndedBySignal) await this.#end(loop, run);
        else if (signals.isTold) signals.survive();
      }
      return run.outcome();
    } catch (error) {
      if (error instanceof CancelledError && run?.isCallerCancelled === false) {
        // By then the host has asked for the branches that were cut off with the same error.
        await new Promise<void>((resolve) => realHost.macrotask(resolve));
        leftRun.add(error);
      }
      throw error;
    } finally {
      this.#occupy(loop, around, -1);
    }
  }

  /** Ends what is left, and closes the loop unless it was passed in. */
  async close(): Promise<void> {
    if (this.#isRunning)
      throw new InvalidStateError("`runner.close` was called while it runs. Await `run` first");
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    const loop = this.#loop;
    if (loop === undefined) return;
    if (this.#beginning !== undefined && !this.#hasEnded) {
      // Who closes it and who made it have work outside until it has ended.
      const callers = new Set([here().loop, this.#beginning.around.loop]);
      busyLoops.add(loop);
      for (const caller of callers) caller.host.io?.(1);
      try {
        await this.#end(loop, undefined);
      } finally {
        for (const caller of callers) caller.host.io?.(-1);
        busyLoops.delete(loop);
      }
    }
    if (this.#ownsLoop) loop.close();
  }

  get #shutdownDelay(): number {
    return this.#options.shutdownDelay ?? DEFAULT_SHUTDOWN_DELAY;
  }

  #begin(loop: EventLoop, around: Scope): Beginning {
    if (this.#beginning !== undefined) return this.#beginning;
    abandonedHooks.add(reportForgotten);
    const isNested = liveLoops.has(around.loop);
    const names = isNested ? false : (this.#options.signals ?? DEFAULT_SIGNALS);
    this.#beginning = {
      around,
      isNested,
      context: copyContext(),
      signals: new SignalWatch(names === false ? [] : names, this),
      foreign: foreignOn(loop),
      sessions: new Set(innerOf(loop)),
      servers: listeningServers(),
      stopWatching: this.#watchUnobserved(loop),
      stopDebugging: loop.debug ? watchCallbackVariables() : () => {},
    };
    liveLoops.add(loop);
    innerOf(around.loop).add(this);
    return this.#beginning;
  }

  #watchUnobserved(loop: EventLoop): () => void {
    if (loop.host !== realHost) return () => {};
    return loop.host.onDry(() => {
      if (this.isAtRest) reportUnobserved(loop);
    });
  }

  /** A main begins (1) or has ended (-1). */
  #occupy(loop: EventLoop, around: Scope, change: 1 | -1): void {
    this.#isRunning = change === 1;
    running += change;
    around.loop.host.io?.(change); // the caller's loop has work outside, until the run has ended
    if (change === 1) busyLoops.add(loop);
    else busyLoops.delete(loop);
  }

  /** The end of everything on the loop; does not come back where the process ends by a signal. */
  async #end(loop: EventLoop, run: MainRun<unknown> | undefined): Promise<void> {
    const beginning = this.#beginning as Beginning; // a main has begun
    const isDead = this.#run?.isDead ?? false;
    await shutDown(loop, {
      delay: this.#shutdownDelay,
      foreign: beginning.foreign,
      isDead,
      innerRuns: () => this.#innerRuns(loop, beginning),
    });
    // A signal may still come while that is found out.
    const isDying = (): boolean => this.#isSignalLate || run?.main.cancelled() === true;
    if (!isDying()) await this.#reportServers(loop, beginning);
    if (this.#isSignalLate && run?.main.state === "rejected") {
      const message = "main has failed, and the process ends by a signal that came after that";
      const { main } = run;
      loop.callExceptionHandler({ message, exception: main.failure, task: main, future: main });
    }
    this.#hasEnded = true;
    beginning.stopWatching();
    beginning.stopDebugging();
    loop.endedRun = `the run that was started ${this.#site}`.trim();
    liveLoops.delete(loop);
    innerOf(beginning.around.loop).delete(this);
    await beginning.signals.stop(isDying());
    for (const tell of this.#listeners) tell();
  }

  #innerRuns(loop: EventLoop, { foreign, sessions }: Beginning): Session[] {
    return [...innerOf(loop)].filter((session) => {
      if (session === this || sessions.has(session)) return false;
      const caller = session.#beginning?.around.task;
      return caller === undefined || !foreign.tasks.has(caller);
    });
  }

  async #reportServers(loop: EventLoop, { isNested, servers }: Beginning): Promise<void> {
    if (isNested || loop.host !== realHost || listeningServers() <= servers) return;
    // What was closed just now counts until the host has had its turn.
    for (let turn = 0; turn < 2; turn++)
      await new Promise<void>((resolve) => realHost.macrotask(resolve));
    const count = listeningServers() - servers;
    if (count <= 0) return;
    const what =
      count === 1
        ? "a server that was opened meanwhile still listens"
        : `${count} servers that were opened meanwhile still listen`;
    const message = `main has ended, and ${what}: what its handlers ask of this run is cut off from now on. Let main wait until the server is to be closed`;
    loop.callExceptionHandler({ message });
  }

  // --- for signals

  get isAtRest(): boolean {
    return !this.#isRunning && this.#closing === undefined;
  }

  signalled(name: SignalName): void {
    if (this.#run?.main.done() === false) {
      this.#run.main.cancelFor("shutdown", name);
      return;
    }
    this.#isSignalLate = true;
    if (this.isAtRest) void this.close();
  }

  // --- for the run that it was begun in

  cancel(): void {
    const main: Task<unknown> | undefined = this.#run?.main;
    if (main?.done() === false) {
      if (main.cancelling() === 0) main.cancelFor("shutdown");
    } else if (this.isAtRest) void this.close();
  }

  whenEnded(tell: () => void): void {
    this.#listeners.push(tell);
  }
}
