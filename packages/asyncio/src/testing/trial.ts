/**
 * A trial: one run of a test's body on a loop of its own in virtual time, with every choice taken
 * by a strategy, and everything looked at when it has ended. `runTest` is one trial; `explore` and
 * the sweeps make many.
 *
 * course.ts tells what comes after the body.
 */

import { TimeoutError } from "../errors/errors.ts";
import { dependentsOf } from "../interop/dependents.ts";
import type { Handle } from "../kernel/callback.ts";
import type { Ready } from "../kernel/gate.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { EventLoop } from "../kernel/loop.ts";
import { creationSites, type ExceptionContext } from "../kernel/reports.ts";
import type { Scope } from "../kernel/scope.ts";
import { Task } from "../kernel/task.ts";
import { Wait, type WaitSubject } from "../kernel/wait.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import { formatSeconds } from "../structures/timers.ts";
import { deadlockOf } from "../tasks/deadlock.ts";
import { openBubble } from "./bubble.ts";
import { Course } from "./course.ts";
import { Decider, nameOfFlow } from "./decider.ts";
import { LivelockError, UncontrolledError, UnhandledError } from "./errors.ts";
import { type Failure, Injector } from "./injector.ts";
import { Narrator } from "./narrator.ts";
import { RaceFinder, type RaceRun } from "./races.ts";
import { mix } from "./random.ts";
import { turnOfHost } from "./rejections.ts";
import type { Mode } from "./schedule.ts";
import type { Strategy } from "./strategies.ts";
import { TestContext, type TrialControl } from "./test-context.ts";
import type { TrialOptions, TrialSettings } from "./trial-settings.ts";
import {
  failureOfBody,
  failureOfLeaks,
  failureOfProblems,
  failureOfRaces,
  tasksInWords,
} from "./verdict.ts";
import { hostTellsWhatIsOpen, VirtualHost } from "./virtual-host.ts";

/**
 * Real seconds that a foreign await gets before it is a deadlock, although nothing is open in the
 * host: Bun cannot tell, and no host tells of its thread pool (zlib, crypto, on Node 26
 * `readFile`). Longer where such work is expected.
 */
const BLIND_SECONDS = 0.02;
const PATIENT_BLIND_SECONDS = 0.25;
/** So many of the last steps tell who is busy. */
const LAST_STEPS = 100;
/** From so many numbers `random` draws. */
const RANDOM_OPTIONS = 0x10000;

export class Trial<S> extends VirtualHost implements TrialControl, RaceRun {
  override readonly strict = true;
  readonly decider: Decider;
  /** How many steps have begun. */
  steps = 0;
  /** Whose steps came in which order, if that was asked for. */
  readonly trace: string[] | undefined;
  /** Which schedule of an exploration it is, and who drew it. */
  found: { readonly strategy: string; readonly schedule: number } | undefined = undefined;
  /** True if it has failed by a rejection that the host told of. */
  isRejected = false;
  /** True if it took too long in real time. */
  isBarkedAt = false;

  readonly #settings: TrialSettings<S>;
  readonly #injector: Injector;
  readonly #narrator: Narrator;
  readonly #course: Course;
  readonly #givesTurn: boolean;
  readonly races: RaceFinder;
  #main: Task<unknown> | undefined = undefined;
  #state: S | undefined = undefined;
  #over: (() => void) | undefined = undefined;
  #closeBubble: (() => void) | undefined = undefined;
  #blindTimer: HostTimer | undefined = undefined;
  #isBlindDead = false;
  readonly #lastFlows: string[] = [];
  /** What is ready, as it was when the step that runs was chosen. */
  #ready: RingBuffer<Ready> | undefined = undefined;
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
    this.#narrator = new Narrator(options.log, options.keepsSites ?? options.log !== undefined);
    this.#course = new Course(this, this.#narrator);
    this.#givesTurn = options.givesTurn ?? false;
    this.#injector = new Injector(this, this.decider, options.mode, settings.isVictim, options.log);
    this.trace = options.keepsTrace === true ? [] : undefined;
    this.races = new RaceFinder(this);
  }

  /** Why the trial has failed; undefined if it has not. */
  get failure(): Failure | undefined {
    return this.#course.failure;
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
    const message = `a promise has failed, and no code has awaited it: ${String(reason)}`;
    this.#course.failure = { error: new UnhandledError([message], [reason]) };
    this.isRejected = true;
    if (this.#course.isOver) this.#settings.failedLate.push(this);
  }

  /** @internal For the watchdog alone. */
  start(): Promise<void> {
    const { cancelGrace, bubble, body, setup } = this.#settings;
    const loop = new EventLoop(this, { debug: false, cancelGrace });
    this.attach(loop);
    loop.setExceptionHandler((_loop, context) => this.#course.reported(context));
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
    this.#course.fail(new TimeoutError([message, ...lines.map((line) => `  ${line}`)].join("\n")));
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
    const { isRunning } = this.#course;
    const option = isRunning ? this.decider.step(items, this.#flows) : 0;
    const item = items[option] as Ready; // an option of decider.step
    const flow = this.#flows[option] as object;
    const first = this.#flows[0] as object;
    if (item instanceof Wait && isRunning) this.#injector.beforeStep(item);
    this.trace?.push(`${nameOfFlow(flow)} at ${this.now()} s`);
    if (this.steps > this.#settings.maxSteps - LAST_STEPS) this.#lastFlows.push(nameOfFlow(flow));
    this.#narrator.step(flow, item, first);
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
    if (!this.#course.isRunning || this.#ready === undefined) return false;
    this.#injector.completes(scope);
    if (this.#ready.length === 0) return false;
    if (this.decider.pick("yield", 2, "yield") === 0) return false;
    this.#narrator.note(`lets others go first: ${this.#describe(subject)}`, this.site());
    return true;
  }

  random(): number {
    const option = this.decider.pick("random", RANDOM_OPTIONS, "random");
    const number = mix(mix(++this.#draws) ^ option) / 2 ** 32;
    this.#narrator.note(`draws ${number}`, this.site());
    return number;
  }

  pickOption(count: number): number {
    const option = this.decider.pick("random", count, "choose");
    this.#narrator.note(`chooses ${option} of ${count}`, this.site());
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
    return this.#course.isRunning ? this.#injector.fault(site, makeError) : undefined;
  }

  override parked(wait: Wait): void {
    super.parked(wait);
    const site = this.site();
    if (site !== "") creationSites.set(wait, site);
    if (this.#narrator.isHeard) this.note(`waits for ${wait.describe()}`, site);
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
    this.#narrator.stepEnded();
    if (this.#course.isRunning) this.#injector.stepEnded();
  }

  // --- the end

  protected override nothingReady(): void {
    this.#stepEnded();
    if (!this.loop.isIdle) return; // something was injected
    if (!this.#course.nothingReady()) super.nothingReady();
  }

  /** @internal For its course. */
  goOn(): void {
    this.nothingReady();
  }

  #mainEnded(): void {
    if (this.loop.isIdle) this.#cameFromOutside(this.#main);
    this.#course.bodyEnded();
  }

  /** Nothing of ours can wake a task any more, and no timer is set. */
  protected override stuck(): void {
    this.#course.stuck();
    if (!this.#course.isRunning) return;
    if (this.isForeignInFlight())
      this.heldBack(); // a branch beside a parked one, say
    else if (this.foreignTasks().length === 0 || this.#isBlindDead)
      this.#course.fail(this.#deadlock());
    else if (this.isPatient && !hostTellsWhatIsOpen)
      this.heldBack(); // the watchdog has an eye on it
    else if (this.isPatient) this.#waitBlindly(PATIENT_BLIND_SECONDS);
    else if (!hostTellsWhatIsOpen) this.#waitBlindly(BLIND_SECONDS);
    else this.#course.fail(this.#deadlock());
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
    if (!this.#course.isRunning || this.#settings.foreign !== "error") return;
    const who = task === undefined ? "code outside every task" : task.describe();
    this.#course.fail(
      new UncontrolledError(
        `${who} has waited for something outside of the test, and no schedule decides when that ends. ` +
          'Put a fake in its place, use the `bubble` option if it was a timer of the host, or pass `foreign: "hold"` to let it happen at any time',
      ),
    );
  }

  #takesTooMany(): void {
    const { maxSteps } = this.#settings;
    const flows = (): string[] => [...new Set(this.#lastFlows.map((name) => JSON.stringify(name)))];
    this.#course.livelocked(() => new LivelockError(maxSteps, flows()));
  }

  // --- for its course

  /** @internal */
  get invariant(): (() => unknown) | undefined {
    const { invariant } = this.#settings;
    return invariant && (() => invariant(this.#state as S)); // the body has begun
  }

  /** @internal */
  judge(problems: readonly ExceptionContext[]): Failure | undefined {
    const main = this.#main as Task<unknown>; // it has ended
    return (
      failureOfBody(main, this.#injector, this.#settings.mayReturn) ??
      failureOfProblems(problems, this.#injector) ??
      failureOfLeaks(this.loop, this.watched) ??
      failureOfRaces(this.races)
    );
  }

  /** @internal */
  ignoreForeign(): void {
    this.ignoresForeign = true;
  }

  /** @internal */
  over(): void {
    this.#blindTimer?.clear();
    this.#closeBubble?.();
    const left = dependentsOf(this.loop);
    this.loop.close();
    if (left.length === 0) this.#over?.();
    else void Promise.all(left.map((dependent) => dependent.end())).then(() => this.#over?.());
  }

  // --- words

  site(): string {
    return this.#narrator.site();
  }

  note(text: string, site: string): void {
    this.#narrator.note(text, site);
  }

  #describe(subject: WaitSubject): string {
    return typeof subject === "string" ? subject : subject.describeWait(this.now());
  }
}

/** The trial that runs on a loop. */
export function trialOf(loop: EventLoop): Trial<unknown> | undefined {
  const { host } = loop;
  return host instanceof Trial ? host : undefined;
}
