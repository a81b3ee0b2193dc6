/** One worker of a pool: what it was given, and what is known of it. */

import { type HostTimer, realHost } from "../kernel/host.ts";
import { NotSendableError } from "./errors.ts";
import type { WorkerStats } from "./executor.ts";
import type { Link } from "./link.ts";
import { nextSeq, SLOTS, slotOf } from "./memory.ts";
import type { Definition, JobExtras, JobMessage } from "./protocol.ts";
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
  readonly works: Map<number, Work> = new Map();
  #seq = 0;
  /** By slot, whether a job that it has uses that. */
  readonly #taken: Uint8Array = new Uint8Array(SLOTS);
  /** What is about to be sent. */
  readonly batch: Work[] = [];
  /** Functions that it knows by number. */
  readonly defined: Set<string> = new Set();
  /** Jobs that it may still be given. */
  quota: number;
  readyAt: number | undefined = undefined;
  /** When it began with the job that it has now, as far as can be seen from here. */
  turnedAt = 0;
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
    const running = this.works.size > 0 ? now - this.turnedAt : 0;
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
    let seq = nextSeq(this.#seq);
    while (this.#taken[slotOf(seq)] === 1) seq = nextSeq(seq); // a long job has it
    this.#seq = seq;
    this.#taken[slotOf(seq)] = 1;
    this.works.set(seq, work);
    work.seq = seq;
    this.batch.push(work);
    this.quota--;
  }

  has(work: Work): boolean {
    return this.works.get(work.seq) === work;
  }

  workAt(seq: number): Work | undefined {
    return this.works.get(seq);
  }

  /** The job is through here. */
  takeOut(seq: number): Work | undefined {
    const work = this.works.get(seq);
    if (work === undefined) return undefined;
    this.works.delete(seq);
    this.#taken[slotOf(seq)] = 0;
    this.turnedAt = realHost.now();
    return work;
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
    const [, ...behind] = [...this.works];
    for (const [seq, work] of behind.reverse())
      if (work.fn.settings.transfer.length === 0 && !work.isAsked) this.link.revoke(seq);
  }

  /** Sends what it was given; tells of what the host cannot copy. */
  sendBatch(
    functions: Map<string, number>,
    refused: (worker: PoolWorker, work: Work, error: unknown) => void,
  ): void {
    if (this.batch.length === 0) return;
    const batch = this.batch.splice(0);
    this.hold();
    const definitions = this.#definitionsFor(batch, functions);
    const transfer = batch.flatMap((work) => work.fn.settings.transfer as object[]);
    try {
      const messages = batch.map((work) => this.#messageOf(work, functions));
      this.link.send(definitions, messages, transfer);
      for (const work of batch) this.defined.add(work.fn.key);
    } catch (cause) {
      // One of them cannot be copied: each by itself, to find which.
      for (const work of batch) {
        const error = batch.length === 1 ? refusalOf(work, cause) : undefined;
        if (error !== undefined) refused(this, work, error);
        else {
          this.batch.push(work);
          this.sendBatch(functions, refused);
        }
      }
    }
  }

  #definitionsFor(batch: readonly Work[], functions: Map<string, number>): Definition[] {
    const definitions: Definition[] = [];
    for (const work of batch) {
      const { key, url, name } = work.fn;
      const number = functions.get(key) ?? functions.size;
      functions.set(key, number);
      if (this.defined.has(key) || definitions.some(([known]) => known === number)) continue;
      definitions.push([number, url, name]);
    }
    return definitions;
  }

  #messageOf(work: Work, functions: ReadonlyMap<string, number>): JobMessage {
    const { args, callbacks, variables, credit, attempt, deadline } = work;
    const isPlain =
      callbacks === undefined &&
      variables === undefined &&
      credit === undefined &&
      attempt === 1 &&
      work.fn.settings.stop !== "keep" &&
      deadline === undefined;
    const extras: JobExtras | undefined = isPlain
      ? undefined
      : {
          ...(callbacks === undefined ? {} : { callbacks: callbacks.places }),
          ...(variables === undefined ? {} : { variables }),
          ...(credit === undefined ? {} : { credit }),
          ...(deadline === undefined ? {} : { left: Math.max(deadline - realHost.now(), 0) }),
          attempt,
          isInterruptible: work.fn.settings.stop === "keep",
        };
    const number = functions.get(work.fn.key) as number;
    const { seq, number: job } = work;
    return extras === undefined ? [seq, number, args, job] : [seq, number, args, job, extras];
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
