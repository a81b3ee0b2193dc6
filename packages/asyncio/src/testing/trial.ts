/**
 * A trial: one run of a test's body on a loop of its own in virtual time, with every choice taken
 * by a strategy, and everything looked at when it has ended. `runTest` is one trial; `explore` and
 * the sweeps make many.
 *
 *     running ──body has ended──▶ settling ──nothing ready──▶ checking ──▶ ending ──no task──▶ over
 *        └──── dead, livelocked, or out of control ──────────────────────────▲
 *
 * While it settles, what is ready still runs, but time stands still: what is left after that is a
 * leak. Then the invariant runs, if there is one. While it ends, the leftovers are cancelled, and
 * nothing that happens counts any more.
 */

import { TimeoutError } from "../errors/errors.ts";
import { dependentsOf } from "../interop/dependents.ts";
import type { Handle } from "../kernel/callback.ts";
import type { Ready } from "../kernel/gate.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { EventLoop } from "../kernel/loop.ts";
import { creationSites, type ExceptionContext, reportUnobserved } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { Wait, type WaitSubject } from "../kernel/wait.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import { formatSeconds } from "../structures/timers.ts";
import { deadlockOf } from "../tasks/deadlock.ts";
import { type BubbleOptions, openBubble } from "./bubble.ts";
import { Decider, nameOfFlow } from "./decider.ts";
import { LivelockError, UncontrolledError, UnhandledError } from "./errors.ts";
import { type Failure, Injector } from "./injector.ts";
import { RaceFinder, type RaceRun } from "./races.ts";
import { mix } from "./random.ts";
import { turnOfHost } from "./rejections.ts";
import type { Mode } from "./schedule.ts";
import { siteOf } from "./site.ts";
import type { Strategy } from "./strategies.ts";
import { TestContext, type TrialControl } from "./test-context.ts";
import type { TraceLog } from "./trace.ts";
import {
  failureOfBody,
  failureOfLeaks,
  failureOfProblems,
  failureOfRaces,
  tasksInWords,
} from "./verdict.ts";
import { hostTellsWhatIsOpen, VirtualHost } from "./virtual-host.ts";
import type { Watchdog } from "./watchdog.ts";

/** The code under test. `state` is what `setup` has made. */
export type TestBody<S> = (t: TestContext, state: S) => unknown;

/** What the trials of one test have in common. */
export interface TrialSettings<S> {
  readonly body: TestBody<S>;
  /** The function that the replay strings are for: mostly the body. */
  readonly source: (...args: never[]) => unknown;
  readonly setup: (() => S) | undefined;
  readonly invariant: ((state: S) => unknown) | undefined;
  readonly cancelGrace: number | undefined;
  readonly autojump: boolean;
  readonly bubble: BubbleOptions | undefined;
  /** What becomes of a foreign await: time holds still until it ends, or the trial fails. */
  readonly foreign: "hold" | "error";
  readonly maxSteps: number;
  /** Whose cancellation a sweep decides; undefined: the body's. */
  readonly isVictim: ((task: Task<unknown>) => boolean) | undefined;
  /** Whether a sweep lets the body return although it was cancelled. */
  readonly mayReturn: boolean;
  readonly watchdog: Watchdog;
  /** Trials of which it was known only when they were over that they have failed. */
  readonly failedLate: unknown[];
}

export interface TrialOptions {
  readonly mode: Mode;
  /** Keeps the steps for people. Slow. */
  readonly log?: TraceLog | undefined;
  /**
   * Keeps where waits and accesses are in the program, up to a number of them. @default true if
   * there is a log
   */
  readonly keepsSites?: boolean;
  /** Keeps whose steps came in which order. */
  readonly keepsTrace?: boolean;
  /**
   * Lets the host have its turn at the end: only then it reports promises that have failed and are
   * not awaited.
   */
  readonly givesTurn?: boolean;
}

type Phase = "running" | "settling" | "checking" | "ending" | "over";

/**
 * Real seconds that a foreign await gets before it is a deadlock, although nothing is open in the
 * host: Bun cannot tell, and no host tells of its thread pool (zlib, crypto, on Node 26
 * `readFile`). Longer where such work is expected.
 */
const BLIND_SECONDS = 0.02;
const PATIENT_BLIND_SECONDS = 0.25;
/** So many of the last steps tell who is busy. */
const LAST_STEPS = 100;
/**
 * A site costs some microseconds: a test that waits a million times shall not take seconds for it.
 */
const MOST_SITES = 5000;
/** From so many numbers `random` draws. */
const RANDOM_OPTIONS = 0x10000;

export class Trial<S> extends VirtualHost implements TrialControl, RaceRun {
  override readonly strict = true;
  readonly decider: Decider;
  /** How many steps have begun. */
  steps = 0;
  /** Whose steps came in which order, if that was asked for. */
  readonly trace: string[] | undefined;
  /** Why the trial has failed; undefined if it has not. */
  failure: Failure | undefined = undefined;
  /** Which schedule of an exploration it is, and who drew it. */
  found: { readonly strategy: string; readonly schedule: number } | undefined = undefined;
  /** True if it has failed by a rejection that the host told of. */
  isRejected = false;
  /** True if it took too long in real time. */
  isBarkedAt = false;

  readonly #settings: TrialSettings<S>;
  readonly #injector: Injector;
  readonly #log: TraceLog | undefined;
  readonly #givesTurn: boolean;
  #sitesLeft: number;
  readonly races: RaceFinder;
  #main: Task<unknown> | undefined = undefined;
  #state: S | undefined = undefined;
  #phase: Phase = "running";
  /** What was reported to the exception handler while it ran. */
  readonly #problems: ExceptionContext[] = [];
  #over: (() => void) | undefined = undefined;
  #closeBubble: (() => void) | undefined = undefined;
  #blindTimer: HostTimer | undefined = undefined;
  #isBlindDead = false;
  readonly #lastFlows: string[] = [];
  /** What is ready, as it was when the step that runs was chosen. */
  #ready: RingBuffer<Ready> | undefined = undefined;
  #stepping: object | undefined = undefined;
  #draws = 0;
  // Used again for each step: what may come next, whose it is, and where in the ready queue.
  readonly #items: Ready[] = [];
  readonly #flows: object[] = [];
  readonly #indexes: number[] = [];

  constructor(settings: TrialSettings<S>, strategy: Strategy, options: TrialOptions) {
    super(settings.autojump, settings.watchdog.openBefore);
    this.#settings = settings;
    this.isPatient = settings.foreign === "hold";
    this.decider = new Decider(strategy);
    this.#log = options.log;
    this.#givesTurn = options.givesTurn ?? false;
    this.#sitesLeft = (options.keepsSites ?? options.log !== undefined) ? MOST_SITES : 0;
    this.#injector = new Injector(this, this.decider, options.mode, settings.isVictim, options.log);
    this.trace = options.keepsTrace === true ? [] : undefined;
    this.races = new RaceFinder(this);
  }

  /** Resolves when the trial is over; `failure` tells how it went. */
  async run(): Promise<void> {
    await this.#settings.watchdog.watch(this);
    if (this.#givesTurn) await turnOfHost();
  }

  /** A promise was rejected by code on this loop, and that was not handled. */
  rejected(reason: unknown): void {
    if (this.failure !== undefined || (this.#injector.isUsed && this.#injector.isInjection(reason)))
      return;
    const message = `a promise has failed, and nobody has awaited it: ${String(reason)}`;
    this.failure = { error: new UnhandledError([message], [reason]) };
    this.isRejected = true;
    if (this.#phase === "over") this.#settings.failedLate.push(this);
  }

  /** @internal For the watchdog alone. */
  start(): Promise<void> {
    const { cancelGrace, bubble, body, setup } = this.#settings;
    const loop = new EventLoop(this, { debug: false, cancelGrace });
    this.attach(loop);
    loop.setExceptionHandler((_loop, context) => this.#problem(context));
    this.isBubbled = bubble !== undefined;
    if (bubble !== undefined)
      this.#closeBubble = openBubble(loop, {
        ...bubble,
        random: bubble.random ?? (() => this.random()),
      });
    return new Promise((resolve) => {
      this.#over = resolve;
      const context = new TestContext(this);
      const main = async (): Promise<void> => {
        this.#state = setup?.();
        await body(context, this.#state as S); // without a `setup` the body takes no state
      };
      this.#main = new Task(loop, main, { name: "main" });
      this.#injector.main = this.#main;
      this.#main.observe();
      this.#main.listen({ futureDone: () => this.#mainEnded() });
    });
  }

  /** Ends a trial that takes too long. */
  bark(seconds: number): void {
    this.isBarkedAt = true;
    const lines = tasksInWords(this.loop);
    const message = `the test has not ended after ${formatSeconds(seconds)} of real time (at ${formatSeconds(this.now())} of virtual time):`;
    this.#fail(new TimeoutError([message, ...lines.map((line) => `  ${line}`)].join("\n")));
    this.scheduleCheck();
  }

  get mode(): Mode {
    return this.#injector.mode;
  }

  // --- choices

  protected override pick(ready: RingBuffer<Ready>): number {
    this.#ready = ready;
    this.#isBlindDead = false;
    this.#stepEnded();
    this.steps++;
    if (this.steps > this.#settings.maxSteps) this.#takesTooMany();
    this.#collect(ready);
    const items = this.#items;
    const option = this.#phase === "running" ? this.decider.step(items, this.#flows) : 0;
    const item = items[option] as Ready; // an option of decider.step
    const flow = this.#flows[option] as object;
    const first = this.#flows[0] as object;
    if (item instanceof Wait && this.#phase === "running") this.#injector.beforeStep(item);
    this.#stepping = flow;
    this.trace?.push(`${nameOfFlow(flow)} at ${this.now()} s`);
    if (this.steps > this.#settings.maxSteps - LAST_STEPS) this.#lastFlows.push(nameOfFlow(flow));
    if (this.#isLogged)
      this.#log?.step(flow, describeStep(item), option === 0 ? undefined : nameOfFlow(first));
    return this.#indexes[option] as number;
  }

  /** What may come next. Plain callbacks keep their order (S161), so only the first of them may. */
  #collect(ready: RingBuffer<Ready>): void {
    this.#items.length = this.#flows.length = this.#indexes.length = 0;
    let isCallbackSeen = false;
    for (let index = 0; index < ready.length; index++) {
      const item = ready.at(index);
      const scope = item.scope as Scope; // every step of the library has one
      if (scope.task === undefined) {
        if (isCallbackSeen) continue;
        isCallbackSeen = true;
      }
      this.#items.push(item);
      this.#flows.push(scope.task ?? scope);
      this.#indexes.push(index);
    }
  }

  /** Whether an operation that could complete lets others go first. */
  yields(scope: Scope, subject: WaitSubject): boolean {
    if (this.#phase !== "running" || this.#ready === undefined) return false;
    this.#injector.completes(scope);
    if (this.#ready.length === 0) return false;
    if (this.decider.pick("yield", 2, "yield") === 0) return false;
    this.#log?.note(`lets others go first: ${this.#describe(subject)}`, this.site());
    return true;
  }

  random(): number {
    const option = this.decider.pick("random", RANDOM_OPTIONS, "random");
    const number = mix(mix(++this.#draws) ^ option) / 2 ** 32;
    this.#log?.note(`draws ${number}`, this.site());
    return number;
  }

  pickOption(count: number): number {
    const option = this.decider.pick("random", count, "choose");
    this.#log?.note(`chooses ${option} of ${count}`, this.site());
    return option;
  }

  /**
   * How many of `available` bytes come in one chunk: all of them, unless the schedule says
   * otherwise.
   */
  cut(available: number): number {
    const option = this.decider.pick("chunk", available, "chunk");
    return option === 0 ? available : option;
  }

  /** What a fault site fails with; undefined if it does not. */
  pickFault(site: string, makeError: (() => unknown) | undefined): Failure | undefined {
    return this.#phase === "running" ? this.#injector.fault(site, makeError) : undefined;
  }

  override parked(wait: Wait): void {
    super.parked(wait);
    const site = this.site();
    if (site !== "") creationSites.set(wait, site);
    if (this.#log !== undefined) this.note(`waits for ${wait.describe()}`, site);
    this.#injector.parked(wait);
    if (this.loop.isIdle) this.#cameFromOutside(wait.scope.task);
  }

  /** A callback will be called later. */
  called(handle: Handle): void {
    const site = this.site();
    if (site !== "") creationSites.set(handle, site);
  }

  /** The step before has come as far as it can. */
  #stepEnded(): void {
    this.#logEnd();
    if (this.#phase === "running") this.#injector.stepEnded();
  }

  // --- the end

  protected override nothingReady(): void {
    this.#stepEnded();
    if (!this.loop.isIdle) return; // something was injected
    if (this.#phase === "running") super.nothingReady();
    else if (this.#phase === "settling") this.#settled();
    else if (this.loop.tasks.size > 0) super.nothingReady();
    else this.#finish();
  }

  #mainEnded(): void {
    if (this.#phase !== "running") return;
    if (this.loop.isIdle) this.#cameFromOutside(this.#main);
    if (this.#phase !== "running") return;
    this.#phase = "settling";
    this.ignoresForeign = true;
    if (this.loop.isIdle) this.scheduleCheck();
  }

  /** Nothing of ours can wake a task any more, and no timer is set. */
  protected override stuck(): void {
    if (this.#phase === "checking" || this.#phase === "ending") this.#abandonRest();
    if (this.#phase !== "running") return;
    if (this.isForeignInFlight())
      this.heldBack(); // a branch beside a parked one, say
    else if (this.foreignTasks().length === 0 || this.#isBlindDead) this.#fail(this.#deadlock());
    else if (this.isPatient && !hostTellsWhatIsOpen)
      this.heldBack(); // the watchdog has an eye on it
    else if (this.isPatient) this.#waitBlindly(PATIENT_BLIND_SECONDS);
    else if (!hostTellsWhatIsOpen) this.#waitBlindly(BLIND_SECONDS);
    else this.#fail(this.#deadlock());
  }

  #deadlock(): Error {
    const error = deadlockOf(this.loop.tasks.toArray(), tasksInWords(this.loop));
    if (!this.autojump && this.nextTimer() !== undefined)
      error.message += "\nThe clock moves by `t.advance` alone: `autojump` is off";
    return error;
  }

  #waitBlindly(seconds: number): void {
    if (this.#blindTimer !== undefined) return;
    this.#blindTimer = realHost.setTimer(realHost.now() + seconds, () => {
      this.#blindTimer = undefined;
      this.#isBlindDead = true;
      this.scheduleCheck();
    });
    this.#blindTimer.unref(); // else it is something open itself; the watchdog keeps the process alive
  }

  protected override cameBack(task: Task<unknown>): void {
    this.#cameFromOutside(task);
  }

  /** Code of a task runs outside of every step: something outside has woken it. */
  #cameFromOutside(task: Task<unknown> | undefined): void {
    this.#isBlindDead = false;
    if (this.#phase !== "running" || this.#settings.foreign !== "error") return;
    const who = task === undefined ? "code outside every task" : task.describe();
    this.#fail(
      new UncontrolledError(
        `${who} has waited for something outside of the test, and no schedule decides when that ends. ` +
          'Put a fake in its place, use the `bubble` option if it was a timer of the host, or pass `foreign: "hold"` to let it happen at any time',
      ),
    );
  }

  #takesTooMany(): void {
    if (this.#phase === "checking" || this.#phase === "ending") this.#abandonRest();
    else
      this.#fail(
        new LivelockError(this.#settings.maxSteps, [
          ...new Set(this.#lastFlows.map((name) => JSON.stringify(name))),
        ]),
      );
  }

  /** The body has ended, and everything that was ready has run. */
  #settled(): void {
    reportUnobserved(this.loop);
    const { invariant } = this.#settings;
    const main = this.#main as Task<unknown>; // it has ended
    this.failure ??=
      failureOfBody(main, this.#injector, this.#settings.mayReturn) ??
      failureOfProblems(this.#problems, this.#injector) ??
      failureOfLeaks(this.loop, this.watched) ??
      failureOfRaces(this.races);
    if (invariant !== undefined && this.failure === undefined) return void this.#check(invariant);
    this.#end();
    if (this.loop.isIdle) this.nothingReady(); // on to the end: no microtask is left either
  }

  #check(invariant: (state: S) => unknown): void {
    this.#phase = "checking";
    const check = new Task(this.loop, async () => void (await invariant(this.#state as S)), {
      name: "the invariant",
    });
    check.listen({
      futureDone: () => {
        if (check.state !== "fulfilled") this.failure ??= { error: check.failure };
        check.observe();
        this.#logEnd();
        this.#end();
        if (this.loop.isIdle) this.scheduleCheck();
      },
    });
  }

  #fail(error: unknown): void {
    if (this.#phase === "ending" || this.#phase === "over") return;
    this.failure ??= { error };
    this.#end();
    if (this.loop.isIdle) this.scheduleCheck();
  }

  /** Cancels what is left. */
  #end(): void {
    this.#phase = "ending";
    this.ignoresForeign = true;
    for (const task of this.loop.tasks.toArray()) {
      task.observe();
      task.cancelFor("shutdown");
      if (task.waitingFor().length === 0 && this.loop.isIdle) task.abandon();
    }
  }

  #abandonRest(): void {
    for (const task of this.loop.tasks.toArray()) task.abandon();
    this.scheduleCheck();
  }

  #finish(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#blindTimer?.clear();
    this.#closeBubble?.();
    const left = dependentsOf(this.loop);
    this.loop.close();
    if (left.length === 0) this.#over?.();
    else void Promise.all(left.map((dependent) => dependent.end())).then(() => this.#over?.());
  }

  #problem(context: ExceptionContext): void {
    if (this.#phase === "running" || this.#phase === "settling") this.#problems.push(context);
  }

  // --- words

  site(): string {
    return this.#sitesLeft > 0 && this.#sitesLeft-- > 0 ? siteOf() : "";
  }

  note(text: string, site: string): void {
    if (this.#isLogged) this.#log?.note(text, site);
  }

  /** What happens while the leftovers are cancelled is of no interest. */
  get #isLogged(): boolean {
    return this.#phase !== "ending" && this.#phase !== "over";
  }

  #describe(subject: WaitSubject): string {
    return typeof subject === "string" ? subject : subject.describeWait(this.now());
  }

  /** Says in the table how the step before this one left its task. */
  #logEnd(): void {
    const task = this.#stepping;
    this.#stepping = undefined;
    if (this.#log === undefined || !(task instanceof Task) || !task.done()) return;
    if (task.state === "fulfilled") this.note("ends", "");
    else
      this.note(
        task.state === "cancelled" ? "ends cancelled" : `fails: ${firstLine(String(task.failure))}`,
        "",
      );
  }
}

/** The trial that runs on a loop. */
export function trialOf(loop: EventLoop): Trial<unknown> | undefined {
  const { host } = loop;
  return host instanceof Trial ? host : undefined;
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
