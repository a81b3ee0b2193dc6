/**
 * The host of loops in virtual time. Steps run one at a time, each when all microtasks of the last
 * have run, so the order is exact and the same every time. When nothing is ready, the clock jumps
 * to the next deadline.
 *
 * When is nothing ready? No step is ready, no macrotask hop is due, no work outside the loop is
 * waited for in `cancellable`, and no task sits in a foreign await that the real host may still
 * end. The last of these cannot be asked directly. But a foreign await that is really under way has
 * something open in the host (a timer, a request, a socket), and Node tells what is open: more than
 * there was at the beginning means that something outside may still come back. A task in a foreign
 * await with nothing open outside waits for a promise that another task, or a timer of ours, will
 * settle.
 */

import { attempt } from "../errors/render.ts";
import type { Ready } from "../kernel/gate.ts";
import type { Host, HostTimer, Watched } from "../kernel/host.ts";
import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import type { Scope } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import type { Wait } from "../kernel/wait.ts";
import { globals } from "../ports/globals.ts";
import type { Network } from "../streams/network.ts";
import type { RingBuffer } from "../structures/ring-buffer.ts";
import { noticeOwnFakes } from "../tasks/fake-timers.ts";

import { networkHere } from "./current-host.ts";

interface VirtualTimer {
  readonly when: number;
  readonly run: () => void;
  /**
   * True if it counts: a timer left behind by a cancelled timeout is no reason to move the clock.
   */
  isRefed: boolean;
}

/** A wait until nothing is ready, at `when` or later. */
interface Settler {
  readonly when: number;
  readonly wait: Wait<void>;
}

/** How often it is asked whether work outside has ended, while it holds the clock: real seconds. */
const POLL_SECONDS = 0.002;
const SECOND_LOOKS = 15;

export class VirtualHost implements Host {
  readonly exact = true;
  readonly strict: boolean = false;
  /** False if the clock moves by `advance` alone. */
  readonly autojump: boolean;
  /** Everything that was held on this loop. */
  readonly watched: Set<Watched> = new Set();
  /** True if the host's own timers are virtual for the code on this loop. */
  protected isBubbled = false;
  /** True if work outside may take its real time. */
  protected isPatient = true;
  /** True once work outside does not count any more. */
  protected ignoresForeign = false;
  #loop: EventLoop | undefined;
  #now = 0;
  #timer: VirtualTimer | undefined = undefined;
  /** Macrotask hops that are due. */
  #hops = 0;
  /** Work outside the loop that is waited for in `cancellable`. */
  #outstanding = 0;
  #checkDue = false;
  #poll: HostTimer | undefined = undefined;
  /** How often nothing was found open since the last step. */
  #looks = 0;
  readonly #settlers: Settler[] = [];
  /** Tasks that have run since nothing was ready, and those that were in a foreign await then. */
  readonly #unsure: Set<Task<unknown>> = new Set();
  /**
   * Tasks that were in a foreign await when nothing was ready; empty once a step has begun since
   * then.
   */
  #sitting: readonly Task<unknown>[] = [];
  /** What was open in the real host at the beginning. */
  #openBefore: ReadonlyMap<string, number>;

  constructor(autojump = true, openBefore: ReadonlyMap<string, number> = openBeforeTest()) {
    this.autojump = autojump;
    this.#openBefore = openBefore;
    noticeOwnFakes();
  }

  get loop(): EventLoop {
    if (this.#loop === undefined) throw new Error("a VirtualHost without a loop");
    return this.#loop;
  }

  /** Called right after the loop was made. */
  attach(loop: EventLoop): void {
    this.#loop = loop;
  }

  now(): number {
    return this.#now;
  }

  microtask(run: () => void): void {
    realHost.microtask(run);
  }

  afterMicrotasks(run: () => void): void {
    realHost.afterMicrotasks(run);
  }

  macrotask(run: () => void): void {
    this.#hops++;
    realHost.macrotask(() => {
      this.#hops--;
      run();
      if (this.loop.isIdle) this.scheduleCheck();
    });
  }

  get network(): Network | undefined {
    return networkHere();
  }

  report(text: string): void {
    realHost.report(text);
  }

  onDry(_run: (error?: Error) => void): () => void {
    return () => {};
  }

  setTimer(when: number, run: () => void): HostTimer {
    const timer: VirtualTimer = { when, run, isRefed: true };
    this.#timer = timer;
    if (this.loop.isIdle) this.scheduleCheck();
    return {
      ref: () => {
        timer.isRefed = true;
        if (this.loop.isIdle) this.scheduleCheck();
      },
      unref: () => {
        timer.isRefed = false;
      },
      clear: () => {
        if (this.#timer === timer) this.#timer = undefined;
      },
    };
  }

  io(change: 1 | -1): void {
    this.#outstanding += change;
    if (this.loop.isIdle) this.scheduleCheck();
  }

  watch(resource: Watched): void {
    this.watched.add(resource);
  }

  parked(_wait: Wait): void {
    if (this.loop.isIdle) this.scheduleCheck(); // a task came out of a foreign await
  }

  choose(ready: RingBuffer<Ready>): number {
    this.#looks = 0;
    this.#findReturns();
    const index = this.pick(ready);
    const { task } = ready.at(index).scope as Scope; // every step of the library has a scope
    if (task !== undefined) this.#unsure.add(task);
    return index;
  }

  /** Which step comes next. */
  protected pick(_ready: RingBuffer<Ready>): number {
    return 0;
  }

  /** Nothing is ready, and all microtasks have run. */
  idle(): void {
    if (this.isQuiet && this.foreignTasks().length === 0) this.nothingReady();
    else this.scheduleCheck();
  }

  /** One macrotask later, so that foreign promises which are about to settle do so first. */
  scheduleCheck(): void {
    if (this.#checkDue) return;
    this.#checkDue = true;
    realHost.macrotask(() => {
      this.#checkDue = false;
      if (!this.loop.isIdle || !(this.isQuiet || this.#mayWaitForOurs())) return;
      this.#findReturns();
      this.#sitting = this.foreignTasks();
      const mayComeBack = this.#outstanding > 0 || this.#sitting.length > 0;
      if (mayComeBack && (this.isForeignInFlight() || this.#looksAgain())) this.heldBack();
      else this.nothingReady();
    });
  }

  /** What has ended since nothing was ready, without a step of the loop, was woken from outside. */
  #findReturns(): void {
    const sitting = this.#sitting;
    this.#sitting = [];
    for (const task of sitting) if (task.done()) this.cameBack(task);
  }

  /** A task has ended outside of every step. */
  protected cameBack(_task: Task<unknown>): void {}

  /** Waits until nothing is ready at `when`; on from there the clock may jump again. */
  settle(wait: Wait<void>, when: number): void {
    this.#settlers.push({ when, wait });
    this.scheduleCheck();
  }

  /** Nothing outside is waited for in `cancellable`, and no hop is due. */
  get isQuiet(): boolean {
    return this.#hops === 0 && (this.#outstanding === 0 || this.ignoresForeign);
  }

  /**
   * Work in `cancellable` may wait for a virtual timer of the bubble: it stops the clock only if
   * something is open.
   */
  #mayWaitForOurs(): boolean {
    return this.isBubbled && this.#hops === 0 && hostTellsWhatIsOpen;
  }

  /**
   * Whether to ask some more times: between two parts of one piece of work Deno may have nothing
   * open.
   */
  #looksAgain(): boolean {
    return this.isPatient && hostHasGaps && this.#looks++ < SECOND_LOOKS;
  }

  /** The tasks in a foreign await, by what is known when nothing is ready. */
  foreignTasks(): Task<unknown>[] {
    for (const task of this.#unsure) if (task.done() || isParked(task)) this.#unsure.delete(task);
    return [...this.#unsure];
  }

  /**
   * Whether something is open in the real host that was not at the beginning. Never, where the host
   * cannot tell. Hosts do not count the callback in which they are asked.
   */
  isForeignInFlight(): boolean {
    if (this.ignoresForeign) return false;
    for (const [kind, count] of openOutside())
      if (count > (this.#openBefore.get(kind) ?? 0)) return true;
    return false;
  }

  /** What is open in the host from now on is ours, and no sign of foreign work. */
  protected takeStock(): void {
    this.#openBefore = openBeforeTest();
  }

  /**
   * Foreign work holds the clock. It comes back by itself, or what is open belongs to other code
   * and goes away.
   */
  protected heldBack(): void {
    if (this.#poll !== undefined) return;
    this.#poll = realHost.setTimer(realHost.now() + POLL_SECONDS, () => {
      this.#poll = undefined;
      this.scheduleCheck();
    });
    this.#poll.unref();
  }

  /** Time may move on: a wait was for this moment, or the next timer is due. */
  protected nothingReady(): void {
    this.#dropEndedSettlers();
    const settler = this.#nextSettler();
    if (settler !== undefined && settler.when <= this.#now) {
      const due = this.#settlers.filter(({ when }) => when <= this.#now);
      for (const { wait } of due) wait.resume();
      this.#dropEndedSettlers();
      return;
    }
    const timer = this.nextTimer();
    const limit = this.autojump ? Number.POSITIVE_INFINITY : this.#furthestSettler();
    if (timer !== undefined && timer.when <= Math.min(settler?.when ?? limit, limit)) {
      this.#timer = undefined;
      this.#now = Math.max(this.#now, timer.when);
      timer.run();
      if (this.loop.isIdle) this.scheduleCheck();
    } else if (settler !== undefined) {
      this.#now = settler.when;
      this.nothingReady();
    } else this.stuck();
  }

  /** Nothing of ours can wake a task any more. */
  protected stuck(): void {}

  /** The timer that the clock may jump to. One for ever never fires. */
  protected nextTimer(): { readonly when: number; readonly run: () => void } | undefined {
    const timer = this.#timer;
    return timer?.isRefed === true && timer.when !== Number.POSITIVE_INFINITY ? timer : undefined;
  }

  /** Fires the timers that are due now, without waiting until nothing is ready. */
  fireDueTimers(): void {
    const timer = this.nextTimer();
    if (timer === undefined || timer.when > this.#now) return;
    this.#timer = undefined;
    timer.run();
  }

  #nextSettler(): Settler | undefined {
    let next: Settler | undefined;
    for (const settler of this.#settlers)
      if (next === undefined || settler.when < next.when) next = settler;
    return next;
  }

  #furthestSettler(): number {
    return this.#settlers.reduce((most, { when }) => Math.max(most, when), this.#now);
  }

  #dropEndedSettlers(): void {
    for (let index = this.#settlers.length - 1; index >= 0; index--)
      if (this.#settlers[index]?.wait.state !== "parked") this.#settlers.splice(index, 1);
  }
}

/** The host of a loop in virtual time; undefined for one in real time. */
export function virtualHostOf(loop: EventLoop): VirtualHost | undefined {
  const { host } = loop;
  return host instanceof VirtualHost ? host : undefined;
}

/** Whether something of ours may wake the task: it waits, and not for foreign promises alone. */
function isParked(task: Task<unknown>): boolean {
  return task.scope.parkedWaits().some((wait) => !wait.isForeign);
}

const { process } = globals;

/** False on Bun, whose list is always empty. */
export const hostTellsWhatIsOpen: boolean =
  process?.getActiveResourcesInfo !== undefined && process.versions?.bun === undefined;

const hostHasGaps: boolean = process?.versions?.deno !== undefined;

/** What keeps the real host busy, by kind; empty where the host cannot tell. */
function openOutside(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  if (!hostTellsWhatIsOpen) return counts;
  for (const kind of process?.getActiveResourcesInfo?.() ?? [])
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/**
 * The same before a test. The host opens its output when somebody prints for the first time. Opened
 * here, that is no sign of foreign work when it comes in the middle of the test.
 */
export function openBeforeTest(): ReadonlyMap<string, number> {
  if (hostTellsWhatIsOpen)
    for (const output of ["stdout", "stderr"])
      attempt(() => Reflect.get(process as object, output)); // it may be closed
  return openOutside();
}
