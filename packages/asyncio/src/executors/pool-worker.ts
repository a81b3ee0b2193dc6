/** One worker of a pool: what it was given, and what is known of it. */

import { type HostTimer, realHost } from "../kernel/host.ts";
import { LinkedList } from "../structures/linked-list.ts";
import { NotSendableError } from "./errors.ts";
import type { WorkerStats } from "./executor.ts";
import type { Functions } from "./functions.ts";
import type { Link } from "./link.ts";
import { nextSeq, SLOTS, slotOf } from "./memory.ts";
import type { Definition, JobExtras } from "./protocol.ts";
import type { FunctionName } from "./sendable.ts";
import { refusal } from "./sending.ts";
import type { Work } from "./work.ts";

/**
 *     starting ──▶ ready ──▶ stopping (a job is being cut off) ──▶ ready
 *        │           ├─────▶ retiring (it gets no more jobs)
 *        └───────────┴─────▶ ending
 */
export type WorkerState = "starting" | "ready" | "stopping" | "retiring" | "ending";

export class PoolWorker {
  readonly name: string;
  declare link: Link; // set right after it is made: the link needs its listener
  state: WorkerState = "starting";
  /** In the order in which they were sent, which is that in which they run. */
  readonly works: LinkedList<Work> = new LinkedList();
  /** The same by their slots. */
  readonly #slots: (Work | undefined)[] = new Array(SLOTS).fill(undefined);
  /** The number that each slot was used with last, and the slot that was used last. */
  readonly #seqs: Int32Array = new Int32Array(SLOTS).map((_, slot) => slot);
  #slot = 0;
  /** What is about to be sent. */
  batch: Work[] = [];
  /** Functions that it knows by number. */
  readonly #known: Set<string> = new Set();
  /** Jobs that it may still be given. */
  quota: number;
  readyAt: number | undefined = undefined;
  /** When it began with the job that it has now, as far as can be seen from here. */
  turnedAt = 0;
  /** True if it has ended a job since. */
  #hasTurned = false;
  idleSince = 0;
  idleTimer: HostTimer | undefined = undefined;
  #isHeld = false;
  #jobs = 0;
  #busySeconds = 0;
  readonly #madeAt: number = realHost.now();

  constructor(name: string, quota: number) {
    this.name = name;
    this.quota = quota;
  }

  describe(): string {
    return `${this.link.description} (${this.name})`;
  }

  stats(now: number): WorkerStats {
    const { state } = this;
    const age = now - this.#madeAt;
    const running = this.works.size > 0 && !this.#hasTurned ? now - this.turnedAt : 0;
    const busy = this.works.size > 0 ? "busy" : "idle";
    return Object.freeze({
      name: this.name,
      pid: this.link.pid,
      state: state === "ready" || state === "stopping" ? busy : state === "retiring" ? busy : state,
      jobs: this.#jobs,
      busy: age > 0 ? Math.min((this.#busySeconds + running) / age, 1) : 0,
      megabytes: this.link.megabytes,
    });
  }

  /**
   * Whether it may be given a job. One that is filled is filled up, and then not before half of its
   * jobs are done: many small messages cost more than a large one.
   */
  hasRoom(ahead: number): boolean {
    if (this.state !== "ready" || this.quota === 0 || this.works.size >= ahead) return false;
    return this.batch.length > 0 || this.works.size <= ahead / 2;
  }

  /** It has loaded what it is set up with. */
  ready(): void {
    if (this.state === "starting") this.state = "ready";
    this.readyAt = realHost.now();
  }

  /** A job of it is being cut off, and no other shall be hit. */
  stopping(): void {
    if (this.state === "ready") this.state = "stopping";
    this.takeBack();
  }

  add(work: Work): void {
    if (this.works.size === 0) this.turnedAt = work.startedAt;
    do this.#slot = (this.#slot + 1) % SLOTS;
    while (this.#slots[this.#slot] !== undefined); // a long job has it
    const seq = nextSeq(this.#seqs[this.#slot] as number);
    this.#seqs[this.#slot] = seq;
    this.#slots[this.#slot] = work;
    this.works.add(work);
    work.seq = seq;
    this.batch.push(work);
    this.quota--;
  }

  has(work: Work): boolean {
    return this.#slots[slotOf(work.seq)] === work;
  }

  workAt(seq: number): Work | undefined {
    const work = this.#slots[slotOf(seq)];
    return work?.seq === seq ? work : undefined;
  }

  /** The job is through here. */
  takeOut(seq: number): Work | undefined {
    const work = this.workAt(seq);
    if (work === undefined) return undefined;
    this.works.remove(work);
    this.#slots[slotOf(seq)] = undefined;
    this.#hasTurned = true;
    return work;
  }

  /** Takes down when it has turned to the job that it has now: once for many, as clocks cost. */
  look(now: number): void {
    if (this.#hasTurned) this.turnedAt = now;
    this.#hasTurned = false;
  }

  /** Whether the job, which it has, may have started. */
  mayHaveStarted(work: Work): boolean {
    return !this.batch.includes(work) && this.link.mayHaveStarted(work.seq);
  }

  remove(work: Work): void {
    if (this.has(work)) this.takeOut(work.seq);
  }

  ended(seconds: number): void {
    this.#jobs++;
    this.#busySeconds += seconds;
  }

  /** Asks for all jobs that have not begun; what was moved to it cannot come back. */
  takeBack(): void {
    const [, ...behind] = this.works.toArray();
    for (const work of behind.reverse())
      if (work.fn.settings.transfer.length === 0 && !work.isAsked) this.link.revoke(work.seq);
  }

  /** Sends what it was given; tells of what the host cannot copy. */
  sendBatch(
    functions: Functions,
    refused: (worker: PoolWorker, work: Work, error: unknown) => void,
  ): void {
    if (this.batch.length === 0) return;
    const { batch } = this;
    this.batch = [];
    this.hold();
    let plain: unknown[] = [];
    let definitions: Definition[] = [];
    const sendPlain = (): void => {
      if (plain.length > 0) this.link.sendPlain(definitions, plain);
      [plain, definitions] = [[], []];
    };
    for (const work of batch) {
      const { fn, seq, number, args } = work;
      if (!work.isPlain) {
        sendPlain(); // they come over in the order in which they run
        this.#sendAlone(work, functions, refused);
        continue;
      }
      if (this.#learns(fn)) definitions.push(functions.define(fn));
      plain.push(seq, functions.numberOf(fn), number, extrasOf(work) ?? 0, args.length);
      for (let index = 0; index < args.length; index++) plain.push(args[index]);
    }
    sendPlain();
  }

  #sendAlone(
    work: Work,
    functions: Functions,
    refused: (worker: PoolWorker, work: Work, error: unknown) => void,
  ): void {
    const { fn, seq, number } = work;
    const isNew = this.#learns(fn);
    const definitions = isNew ? [functions.define(fn)] : [];
    const transfer = fn.settings.transfer as readonly object[]; // checked by the host
    try {
      const message = [seq, functions.numberOf(fn), number, work.args, extrasOf(work)] as const;
      this.link.send(definitions, message, transfer);
    } catch (cause) {
      if (isNew) this.#known.delete(fn.key);
      const error = refusalOf(work, cause);
      if (error === undefined) this.#sendAlone(work, functions, refused);
      else refused(this, work, error);
    }
  }

  /** True if it has to be told what the function is. */
  #learns(fn: FunctionName): boolean {
    if (this.#known.has(fn.key)) return false;
    this.#known.add(fn.key);
    return true;
  }

  // --- whether it keeps the process alive

  hold(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.link.hold(true);
  }

  letGo(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.link.hold(false);
  }

  /** Calls `end` when it has had nothing to do for `seconds`, until that gives true. */
  watchIdle(seconds: number, end: () => boolean): void {
    const arm = (when: number): void => {
      this.idleTimer = realHost.setTimer(when, look);
      this.idleTimer.unref();
    };
    const look = (): void => {
      this.idleTimer = undefined;
      if (this.works.size > 0) return; // it is watched again when it has nothing to do
      const when = this.idleSince + seconds;
      if (when > realHost.now()) arm(when);
      else if (!end()) this.idleSince = realHost.now();
    };
    arm(this.idleSince + seconds);
  }

  over(): void {
    this.idleTimer?.clear();
    this.idleTimer = undefined;
  }
}

function extrasOf({ rare, fn }: Work): JobExtras | undefined {
  const { callbacks, variables, credit, attempt, deadline } = rare;
  const isInterruptible = fn.settings.stop === "keep";
  const hasNone =
    callbacks === undefined &&
    variables === undefined &&
    credit === undefined &&
    deadline === undefined;
  if (hasNone && attempt === 1 && !isInterruptible) return undefined;
  return {
    ...(callbacks === undefined ? {} : { callbacks: callbacks.places }),
    ...(variables === undefined ? {} : { variables }),
    ...(credit === undefined ? {} : { credit }),
    ...(deadline === undefined ? {} : { left: Math.max(deadline - realHost.now(), 0) }),
    attempt,
    isInterruptible,
  };
}

/** Why a job was refused; undefined if it can be tried again, without the callbacks deep in it. */
function refusalOf(work: Work, cause: unknown): unknown {
  try {
    if (work.searchCallbacks()) return undefined;
  } catch (error) {
    if (error instanceof NotSendableError) return error;
    // A getter has thrown, which the search finds again.
  }
  return refusal("args", work.args, cause);
}
