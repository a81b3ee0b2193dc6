/**
 * Interrupting the JavaScript of another thread of this process: loops, regular expressions,
 * `Atomics.wait`. Node's inspector can, and nothing else of a host.
 *
 * A session attaches to all threads when it is enabled. It stays so for a second after its last
 * use: one that was disabled before a thread has taken in what it was sent does not attach again.
 */

import type { Session } from "node:inspector";
import { type HostTimer, realHost } from "../kernel/host.ts";
import { runInRoot } from "../ports/context-storage.ts";

const LINGER_SECONDS = 1;

interface Attached {
  readonly params: {
    readonly sessionId: string;
    readonly workerInfo: { readonly workerId: string };
  };
}

class Interrupter {
  readonly #session: Session;
  /** The sessions of the threads, by their numbers. */
  readonly #threads: Map<string, string> = new Map();
  #enabled: Promise<boolean> | undefined = undefined;
  #timer: HostTimer | undefined = undefined;

  constructor(session: Session) {
    this.#session = session;
    session.connect(); // throws under --permission
    const attached = ({ params }: Attached): void => {
      this.#threads.set(params.workerInfo.workerId, params.sessionId);
    };
    session.on("NodeWorker.attachedToWorker", attached as never);
  }

  async terminate(threadId: number): Promise<boolean> {
    this.#timer?.clear();
    this.#enabled ??= new Promise((resolve) => {
      const options = { waitForDebuggerOnStart: false };
      this.#session.post("NodeWorker.enable", options, (refused) => resolve(refused === null));
    });
    const isEnabled = await this.#enabled;
    this.#timer?.clear();
    this.#timer = realHost.setTimer(realHost.now() + LINGER_SECONDS, () => this.#disable());
    this.#timer.unref();
    const sessionId = this.#threads.get(String(threadId));
    if (!isEnabled || sessionId === undefined) return false;
    const message = JSON.stringify({ id: 1, method: "Runtime.terminateExecution" });
    this.#session.post("NodeWorker.sendMessageToWorker", { sessionId, message });
    return true;
  }

  #disable(): void {
    this.#enabled = undefined;
    this.#threads.clear();
    this.#session.post("NodeWorker.disable");
  }
}

let interrupter: Interrupter | undefined | null;

/** Null where the host does not let us. */
function made(): Interrupter | null {
  try {
    const { isMainThread } = process.getBuiltinModule("node:worker_threads");
    const { Session } = process.getBuiltinModule("node:inspector");
    const isNode = process.versions.bun === undefined && !("Deno" in globalThis);
    return isNode && isMainThread ? runInRoot(() => new Interrupter(new Session())) : null;
  } catch {
    return null; // there is none, or we may not use it
  }
}

/** Cuts off what the thread runs; false if the host does not let us, or there is no such thread. */
export async function terminateExecution(threadId: number): Promise<boolean> {
  if (interrupter === undefined) interrupter = made();
  return interrupter === null ? false : await interrupter.terminate(threadId);
}
