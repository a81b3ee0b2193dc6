/**
 * What a `run` and a `Runner` are: one loop, and one main after the other on it, until it is
 * closed. A `run` is closed when its main has ended; a `Runner` by hand, and until then its
 * background tasks live on, as in asyncio.
 *
 *     begin ──▶ main runs ──▶ callbacks that are due ──▶ end
 *       │           ▲                   │
 *     once          └─── next main ─────┘ a Runner, unless a signal has ended its main
 *
 * Deadlock, a signal and an abort take one path: main is cancelled, its `finally` blocks run, and
 * when it has ended, the session goes on to its end or, a `Runner`, waits for the next main. Only
 * when all that was left has ended does the call settle, or the process end by the signal.
 */

import { advice, CancelledError, InvalidStateError } from "../errors/errors.ts";
import { currentContext } from "../kernel/context.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import { reportUnobserved } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Coroutine } from "../kernel/task.ts";
import { abandonedHooks, leftRun } from "../ports/uncaught.ts";
import type { Context } from "../structures/context-values.ts";
import { watchInDebugMode } from "../tasks/debug-watch.ts";
import { excuseNoMore } from "../tasks/excuse.ts";
import { HostLoop } from "../tasks/host-loop.ts";
import { reportForgotten } from "./forgotten.ts";
import { watchLostValues } from "./lost-values.ts";
import { MainRun } from "./main-run.ts";
import { DEFAULT_SHUTDOWN_DELAY, DEFAULT_SIGNALS, type RunOptions } from "./options.ts";
import { listeningServers, reportServers } from "./servers.ts";
import {
  type Foreign,
  foreignOn,
  type InnerRun,
  runDueCallbacks,
  Shutdown,
  turnOf,
} from "./shutdown.ts";
import { type SignalName, type SignalTarget, SignalWatch } from "./signals.ts";
import {
  began,
  begunBy,
  checkFree,
  countMain,
  ended,
  hasOtherMains,
  isLive,
  occupy,
  scopeAround,
} from "./under-way.ts";

watchLostValues(); // when the library is loaded: code outside every run may lose one

/** How a main is started. */
export interface Start {
  /** The call that was made, for messages. */
  readonly api: string;
  /** Where, as a line of a stack: "at main (file.ts:3:5)"; "" where the engine does not tell. */
  readonly site: string;
  /** True if the session ends with it. */
  readonly isOnly: boolean;
}

/** What a session found when it began, and what it has to stop when it ends. */
interface Beginning {
  readonly loop: EventLoop;
  /** Where it was begun. */
  readonly around: Scope;
  /** True if the code there has a run of its own, which listens to signals. */
  readonly isNested: boolean;
  readonly context: Context;
  readonly signals: SignalWatch;
  /** What was on the loop, and is not this session's to end. */
  readonly foreign: Foreign;
  /** Those that code on the loop had begun. */
  readonly sessions: ReadonlySet<Session>;
  /** How many servers of the process were listening. */
  readonly servers: number;
  /** Ends what it watches: failures that no code has looked at, and what debug mode looks for. */
  readonly stopWatching: () => void;
}

export class Session implements SignalTarget, InnerRun {
  readonly #options: RunOptions;
  readonly #ownsLoop: boolean;
  #loop: EventLoop | undefined;
  /** Undefined until its first main. */
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
      throw new InvalidStateError(`\`runner\` is closed${advice("Make another")}`);
    const { debug, cancelGrace } = this.#options;
    this.#loop ??= new HostLoop({ debug, cancelGrace });
    return this.#loop;
  }

  // --- a main, from its call to its outcome

  async run<T>(main: Coroutine<T>, start: Start): Promise<T> {
    const loop = this.getLoop();
    checkFree(start.api, loop);
    const around = scopeAround();
    const stop = around.interruption("run");
    if (stop !== undefined) await stop;
    loop.endedRun = undefined;
    this.#beginning ??= this.#begin(loop, around);
    this.#site = start.site;
    const leave = this.#enter(loop, around);
    let run: MainRun<T> | undefined;
    try {
      run = this.#start(main, around, this.#beginning);
      try {
        await run.ended();
      } finally {
        await runDueCallbacks(loop);
        await this.#mainEnded(run, start.isOnly, this.#beginning);
      }
      return run.outcome();
    } catch (error) {
      excuseNoMore(error);
      if (error instanceof CancelledError && run?.isCallerCancelled === false) await leaves(error);
      throw error;
    } finally {
      leave();
    }
  }

  /** A main begins. Gives what is to be done when it has ended. */
  #enter(loop: EventLoop, around: Scope): () => void {
    const release = occupy(loop, [around.loop]);
    this.#isRunning = true;
    countMain(1);
    return () => {
      countMain(-1);
      this.#isRunning = false;
      release();
    };
  }

  #start<T>(main: Coroutine<T>, around: Scope, { loop, context, signals }: Beginning): MainRun<T> {
    const run = new MainRun(loop, main, {
      around,
      context,
      shutdownDelay: this.#shutdownDelay,
      signal: this.#options.signal,
      hasRunsInside: () => [...begunBy<Session>(loop)].some((session) => session.#isRunning),
      hasRunsBeside: hasOtherMains,
    });
    this.#run = run;
    signals.catchUp();
    return run;
  }

  /** Goes on to the end of the session, or stays for the next main. */
  async #mainEnded(
    { main }: MainRun<unknown>,
    isOnly: boolean,
    { signals }: Beginning,
  ): Promise<void> {
    const isEndedBySignal = signals.isTold && (main.cancelled() || this.#isSignalLate);
    if (isOnly || isEndedBySignal) await this.#end(() => this.#isSignalLate || main.cancelled());
    else if (signals.isTold) signals.survive();
  }

  // --- its beginning and its end

  #begin(loop: EventLoop, around: Scope): Beginning {
    abandonedHooks.add(reportForgotten);
    const isNested = isLive(around.loop);
    const names = isNested ? false : (this.#options.signals ?? DEFAULT_SIGNALS);
    const beginning = {
      loop,
      around,
      isNested,
      context: currentContext().copy(),
      signals: new SignalWatch(names === false ? [] : names, this),
      foreign: foreignOn(loop),
      sessions: new Set(begunBy<Session>(loop)),
      servers: listeningServers(),
      stopWatching: this.#watch(loop),
    };
    began(this, loop, around.loop);
    return beginning;
  }

  #watch(loop: EventLoop): () => void {
    // A program may end without having closed its Runner.
    const stopFailures =
      loop.host === realHost
        ? loop.host.onDry(() => {
            if (this.isAtRest) reportUnobserved(loop);
          })
        : undefined;
    const stopDebugging = loop.debug ? watchInDebugMode() : undefined;
    return () => {
      stopFailures?.();
      stopDebugging?.();
    };
  }

  /** Ends what is left, and closes the loop unless it was passed in. */
  async close(): Promise<void> {
    if (this.#isRunning)
      throw new InvalidStateError(
        `\`runner.close\` was called while it runs${advice("Await `run` first")}`,
      );
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    const beginning = this.#beginning;
    if (beginning !== undefined && !this.#hasEnded) {
      // The code that closes it and the code that made it have work outside until it has ended.
      const release = occupy(beginning.loop, [here().loop, beginning.around.loop]);
      try {
        await this.#end(() => this.#isSignalLate);
      } finally {
        release();
      }
    }
    if (this.#ownsLoop) this.#loop?.close();
  }

  /**
   * The end of everything on the loop. Does not come back where the process ends by a signal, which
   * `isDying` tells: a signal may still come while things end.
   */
  async #end(isDying: () => boolean): Promise<void> {
    const beginning = this.#beginning as Beginning; // a main has begun
    const { loop, around, foreign } = beginning;
    const shutdown = new Shutdown(loop, {
      delay: this.#shutdownDelay,
      foreign,
      isDead: this.#run?.isDead ?? false,
      innerRuns: () => this.#innerRuns(beginning),
    });
    await shutdown.run();
    if (loop.host === realHost) await beginning.signals.hear(); // no turn moves a virtual clock
    if (!isDying() && !beginning.isNested) await reportServers(loop, beginning.servers);
    if (this.#isRunning) this.#reportHiddenFailure(loop);
    this.#hasEnded = true;
    beginning.stopWatching();
    loop.endedRun = `the run that was started ${this.#site}`.trim();
    ended(this, loop, around.loop);
    await beginning.signals.stop(isDying());
    for (const tell of this.#listeners) tell();
  }

  /** Sessions that code of this one has begun, and that have not ended. */
  #innerRuns({ loop, foreign, sessions }: Beginning): Session[] {
    return [...begunBy<Session>(loop)].filter((session) => {
      if (session === this || sessions.has(session)) return false;
      const caller = session.#beginning?.around.task;
      return caller === undefined || !foreign.tasks.has(caller);
    });
  }

  /** No caller hears of the failure of main where the process ends before the call has settled. */
  #reportHiddenFailure(loop: EventLoop): void {
    const main = this.#run?.main;
    if (!this.#isSignalLate || main?.state !== "rejected") return;
    const message = "main has failed, and the process ends by a signal that came after that";
    loop.callExceptionHandler({ message, exception: main.failure, task: main, future: main });
  }

  get #shutdownDelay(): number {
    return this.#options.shutdownDelay ?? DEFAULT_SHUTDOWN_DELAY;
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
    const main = this.#run?.main;
    if (main?.done() === false) {
      if (main.cancelling() === 0) main.cancelFor("shutdown");
    } else if (this.isAtRest) void this.close();
  }

  whenEnded(tell: () => void): void {
    this.#listeners.push(tell);
  }
}

/**
 * A cancellation leaves a run whose caller was not cancelled. It is marked, so that the library
 * does not answer for it if the caller lets it go unhandled. Not before the host has asked for the
 * branches that were cut off with the same error.
 */
async function leaves(error: CancelledError): Promise<void> {
  await turnOf(realHost);
  leftRun.add(error);
}
