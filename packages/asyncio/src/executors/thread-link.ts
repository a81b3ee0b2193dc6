/** A worker that is a thread of this process. */

import type { MessagePort, Worker } from "node:worker_threads";
import { advice, type CancelSource } from "../errors/errors.ts";
import { render } from "../errors/render.ts";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { Exit } from "./exit.ts";
import { terminateExecution } from "./interrupt.ts";
import type { Link, LinkListener, LinkOptions } from "./link.ts";
import { SharedMemory } from "./memory.ts";
import {
  type CallOutcome,
  type Definition,
  fromWorker,
  isFromWorker,
  type JobMessage,
  type PlainJobs,
  type ToWorker,
  toWorker,
} from "./protocol.ts";
import { isSendable } from "./sending.ts";
import type { ThreadData } from "./thread-data.ts";

/** Seconds between two looks at a thread that does not answer. */
const PROBE_SECONDS = 0.001;
/**
 * So many looks long it may answer or come into the call of the job, where alone it can be
 * interrupted: it may be loading the module. Looks are counted, and not seconds: where this process
 * gets no processor, the looks are late as well, and the thread is not replaced for it.
 */
const CALL_LOOKS = 50;
/** And so many after it was interrupted: a native call may have to end first. */
const ANSWER_LOOKS = 250;

export class ThreadLink implements Link {
  readonly description: string;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #memory: SharedMemory = new SharedMemory();
  readonly #listener: LinkListener;
  #epoch = 0;
  #pong: ((isDropped: boolean) => void) | undefined = undefined;
  #error: unknown = undefined;
  readonly #exit: Exit = new Exit();

  /** `isInProcess` if the thread is that of a worker process, and not one of this program. */
  constructor(
    { name, setup, env, execArgv }: LinkOptions,
    listener: LinkListener,
    isInProcess = false,
  ) {
    this.#listener = listener;
    const threads = process.getBuiltinModule("node:worker_threads");
    const { port1, port2 } = new threads.MessageChannel();
    this.#port = port1;
    const { buffer } = this.#memory;
    // Its handles keep the context that they are made in.
    this.#worker = runInRoot(
      () =>
        new threads.Worker(entry("thread-main"), {
          name,
          workerData: { port: port2, buffer, setup, isInProcess } satisfies ThreadData,
          transferList: [port2],
          ...(env === undefined ? {} : { env: env as NodeJS.ProcessEnv }),
          ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
        }),
    );
    this.description = `thread ${this.#worker.threadId}`; // one that has gone has no number
    this.#worker.on("error", (error) => {
      this.#error = error;
    });
    this.#worker.on("exit", (code) => this.#exited(code));
    runInRoot(() => this.#port.on("message", (message) => this.#received(message)));
  }

  get pid(): number | undefined {
    return undefined;
  }

  get megabytes(): number {
    return this.#memory.megabytes;
  }

  sendPlain(definitions: readonly Definition[], jobs: PlainJobs): void {
    this.#port.postMessage([toWorker.plainJobs, definitions, jobs] satisfies ToWorker);
  }

  send(definitions: readonly Definition[], job: JobMessage, transfer: readonly object[]): void {
    const message: ToWorker = [toWorker.job, definitions, job];
    if (transfer.length === 0) this.#port.postMessage(message);
    else this.#port.postMessage(message, transfer as never);
  }

  cancel(seq: number, source: CancelSource, reason: unknown, by: string | undefined): void {
    if (this.#memory.revoke(seq)) {
      this.#listener.received([fromWorker.revoked, seq]);
      return;
    }
    const sent = isSendable(reason) ? reason : render(reason);
    this.#port.postMessage([toWorker.cancel, seq, source, sent, by] satisfies ToWorker);
    this.#memory.ask(seq); // after the message, which whoever sees this may look for
  }

  revoke(seq: number): void {
    if (this.#memory.revoke(seq)) this.#listener.received([fromWorker.revoked, seq]);
  }

  mayHaveStarted(seq: number): boolean {
    return this.#memory.hasStarted(seq);
  }

  reply(seq: number, call: number, outcome: CallOutcome): void {
    this.#control([toWorker.reply, seq, call, outcome]);
  }

  grant(seq: number, count: number): void {
    this.#control([toWorker.credit, seq, count]);
  }

  #control(message: ToWorker): void {
    this.#port.postMessage(message);
    this.#memory.ring();
  }

  async interrupt(seq: number): Promise<boolean> {
    const epoch = ++this.#epoch;
    let timer: HostTimer | undefined;
    let isOver = false;
    const answered = new Promise<boolean | undefined>((resolve) => {
      const end = (isDropped: boolean | undefined): void => {
        isOver = true;
        timer?.clear();
        this.#pong = undefined;
        resolve(isDropped);
      };
      this.#pong = end;
      this.#exit.listen(() => end(undefined));
      const ping = (): void => this.#control([toWorker.ping, epoch, seq]);
      /** Calls `look` so often, until it gives false, or nothing has come of it. */
      const watch = (looks: number, look: () => boolean): void => {
        let left = looks;
        const again = (): void => {
          if (isOver) return;
          if (left-- === 0) return void end(false);
          if (look()) timer = realHost.setTimer(realHost.now() + PROBE_SECONDS, again);
        };
        timer = realHost.setTimer(realHost.now() + PROBE_SECONDS, again);
      };
      const cutOff = async (): Promise<void> => {
        const isInterrupted = await terminateExecution(this.#worker.threadId);
        if (isOver) return;
        if (!isInterrupted) return end(false);
        // One that finds the thread idle swallows what comes next: so it is asked more than once.
        ping();
        watch(ANSWER_LOOKS, () => {
          ping();
          return true;
        });
      };
      ping(); // one whose loop turns is not blocked, and an interruption would be in vain
      watch(CALL_LOOKS, () => {
        if (!this.#memory.isInCall(seq)) return true;
        void cutOff();
        return false;
      });
    });
    return (await answered) === true;
  }

  terminate(seconds: number): Promise<boolean> {
    return this.#exit.force(() => this.kill(), seconds);
  }

  kill(): void {
    void this.#worker.terminate();
  }

  hold(isHeld: boolean): void {
    if (isHeld) {
      this.#worker.ref();
      this.#port.ref();
    } else {
      this.#worker.unref();
      this.#port.unref();
    }
  }

  #received(message: unknown): void {
    if (!isFromWorker(message)) return; // not of ours
    if (message[0] === fromWorker.pong) {
      if (message[1] === this.#epoch) this.#pong?.(message[2]);
      return;
    }
    if (message[0] !== fromWorker.wake) this.#listener.received(message);
    else this.#memory.drain(this.#done);
  }

  readonly #done = (seq: number, seconds: number, value: unknown): void => {
    this.#listener.done(seq, seconds, value);
  };

  #exited(code: number): void {
    if (this.#exit.isOver) return;
    // What it has sent before its end counts.
    const { receiveMessageOnPort } = process.getBuiltinModule("node:worker_threads");
    try {
      for (;;) {
        const received = receiveMessageOnPort(this.#port);
        if (received === undefined) break;
        this.#received(received.message);
      }
    } catch {
      // Deno has closed the port together with the thread.
    }
    this.#received([fromWorker.wake]);
    this.#port.close();
    this.#exit.over();
    this.#listener.exited({ exitCode: code, signal: undefined, cause: this.#error });
  }
}

/**
 * A module of ours that a worker begins with: beside this one in the sources; where we are built,
 * this code is in a file of another folder.
 */
export function entry(name: string): URL {
  const { existsSync } = process.getBuiltinModule("node:fs");
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const places = [`./${name}.${extension}`, `./executors/${name}.${extension}`];
  const urls = places.map((place) => new URL(place, import.meta.url));
  const found = urls.find((url) => existsSync(url));
  if (found !== undefined) return found;
  throw Object.assign(
    new Error(
      `${urls[1]?.pathname} is not there: the program was bundled, and a worker begins with a file of its own${advice("Leave asyncio-ts out of the bundle (external), so that it is loaded from node_modules")}`,
    ),
    { code: "ERR_ASYNCIO_BUNDLED" },
  );
}
