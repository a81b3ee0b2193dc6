/**
 * A worker that is a process of its own. Its main thread runs no jobs: so it hears of everything at
 * once, and ends itself when this process has gone, however that went. Jobs go over a wire to its
 * one other thread.
 */

import type { ChildProcess } from "node:child_process";
import type { CancelSource } from "../errors/errors.ts";
import { render } from "../errors/render.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { errorOf } from "./error-table.ts";
import type { WorkerEnd } from "./errors.ts";
import { Exit } from "./exit.ts";
import type { Link, LinkListener, LinkOptions } from "./link.ts";
import {
  type CallOutcome,
  type Definition,
  type FromWorker,
  fromWorker,
  isFromWorker,
  type JobMessage,
  type PlainJobs,
  type ToWorker,
  toWorker,
} from "./protocol.ts";
import { isSendable } from "./sending.ts";
import { entry } from "./thread-link.ts";
import { hasWires, PoolWire, wireStdio } from "./wire.ts";

/** Deno sends half of what it cannot send, and the process dies of that: so it is tried before. */
const refusesLate = "Deno" in globalThis;
/** Seconds between the exit of a process and the end of what it has sent. */
const REST_SECONDS = 1;

export class ProcessLink implements Link {
  readonly #child: ChildProcess;
  readonly #listener: LinkListener;
  #megabytes = 0;
  #thread: { exitCode: number; cause: unknown } | undefined = undefined;
  #status: { code: number | null; signal: string | null } | undefined = undefined;
  /** Undefined where the host has none. */
  readonly #wire: PoolWire | undefined;
  /** Of the channel and the wire: from how many there may come more. */
  #open = 1;
  #restTimer: HostTimer | undefined = undefined;
  readonly #exit: Exit = new Exit();
  readonly #interruptions: Map<number, (isKept: boolean) => void> = new Map();

  constructor({ name, setup, env, execArgv }: LinkOptions, listener: LinkListener) {
    this.#listener = listener;
    const { fork } = process.getBuiltinModule("node:child_process");
    // Its handles keep the context that they are made in.
    this.#child = runInRoot(() =>
      fork(entry("process-main"), [], {
        serialization: "advanced",
        stdio: ["ignore", "inherit", "inherit", "ipc", ...wireStdio],
        ...(env === undefined ? {} : { env: env as NodeJS.ProcessEnv }),
        ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
      }),
    );
    const child = this.#child;
    this.#wire = runInRoot(() => {
      child.on("message", (messages) => this.#received(messages));
      child.on("error", (cause) => {
        if (child.pid === undefined) this.#over({ exitCode: undefined, signal: undefined, cause });
      });
      child.on("exit", (code, signal) => {
        this.#status = { code, signal };
        this.#restTimer = realHost.setTimer(realHost.now() + REST_SECONDS, () => this.#finish());
        if (this.#open === 0) this.#finish();
      });
      child.on("disconnect", this.#closed);
      if (!hasWires || child.pid === undefined) return undefined;
      this.#open++;
      const take = (message: unknown): void => this.#take(message);
      return new PoolWire(child, take, () => this.kill(), this.#closed);
    });
    // What it cannot be sent is seen by its exit. One that was not started has no `send`, if there
    // were no descriptors left for its pipes.
    if (child.pid !== undefined) child.send([name, setup], () => {});
  }

  get description(): string {
    return `process ${this.#child.pid}`;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get megabytes(): number {
    return this.#megabytes;
  }

  sendPlain(definitions: readonly Definition[], jobs: PlainJobs): void {
    this.#sendJobs([toWorker.plainJobs, definitions, jobs]);
  }

  send(definitions: readonly Definition[], job: JobMessage): void {
    this.#sendJobs([toWorker.job, definitions, job]);
  }

  cancel(seq: number, source: CancelSource, reason: unknown, by: string | undefined): void {
    this.#post([toWorker.cancel, seq, source, isSendable(reason) ? reason : render(reason), by]);
  }

  revoke(seq: number): void {
    this.#post([toWorker.revoke, seq]);
  }

  mayHaveStarted(): boolean {
    return true; // it is not known here
  }

  reply(seq: number, call: number, outcome: CallOutcome): void {
    this.#post([toWorker.reply, seq, call, outcome]);
  }

  grant(seq: number, count: number): void {
    this.#post([toWorker.credit, seq, count]);
  }

  interrupt(seq: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#interruptions.set(seq, resolve);
      this.#exit.listen(() => resolve(false));
      this.#post([toWorker.interrupt, seq]);
    });
  }

  terminate(seconds: number): Promise<boolean> {
    return this.#exit.force(() => this.kill(), seconds);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  hold(isHeld: boolean): void {
    this.#wire?.hold(isHeld);
    const { channel } = this.#child as { channel?: { ref?(): void; unref?(): void } }; // not Bun
    if (isHeld) {
      this.#child.ref();
      channel?.ref?.();
    } else {
      this.#child.unref();
      channel?.unref?.();
    }
  }

  #sendJobs(message: ToWorker): void {
    if (this.#wire === undefined) this.#post(message);
    else this.#wire.send(message);
  }

  #post(message: ToWorker): void {
    if (!this.#child.connected) return; // it has gone, and that will be told
    if (refusesLate && message[0] !== toWorker.cancel) structuredClone(message);
    this.#child.send(message, () => {});
  }

  #received(messages: unknown): void {
    if (!Array.isArray(messages)) return;
    for (const message of messages as unknown[]) this.#take(message);
  }

  #take(message: unknown): void {
    if (!isFromWorker(message)) return;
    if (message[0] === fromWorker.memory) this.#megabytes = message[1];
    else if (message[0] === fromWorker.gone) {
      this.#thread = { exitCode: message[1], cause: causeIn(message) };
    } else if (message[0] === fromWorker.interrupted) {
      const [, seq, isKept] = message;
      const tell = this.#interruptions.get(seq);
      this.#interruptions.delete(seq);
      // A result that was sent before it may still lie in the wire, and is read in this turn.
      if (tell !== undefined) realHost.macrotask(() => tell(isKept));
    } else this.#listener.received(message);
  }

  readonly #closed = (): void => {
    this.#open--;
    if (this.#open === 0 && this.#status !== undefined) this.#finish();
  };

  #finish(): void {
    const { code, signal } = this.#status ?? { code: null, signal: null };
    const exitCode = this.#thread?.exitCode ?? code ?? undefined;
    this.#over({ exitCode, signal: signal ?? undefined, cause: this.#thread?.cause });
  }

  #over(end: WorkerEnd): void {
    if (!this.#exit.over()) return;
    this.#restTimer?.clear();
    this.#listener.exited(end);
  }
}

function causeIn(message: FromWorker): unknown {
  return message[2] === undefined ? undefined : errorOf(message[2]);
}
