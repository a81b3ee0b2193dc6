/**
 * Interrupting the JavaScript of another thread of this process: loops, regular expressions,
 * `Atomics.wait`. Node's inspector can, and nothing else of a host.
 *
 * A session attaches to all threads when it is enabled, and to those that are started from then on.
 * It stays enabled: a thread that was starting when it was disabled is never attached to again.
 */

import type { Session } from "node:inspector";
import { runInRoot } from "../ports/context-storage.ts";

interface Attached {
  readonly params: {
    readonly sessionId: string;
    readonly workerInfo: { readonly title: string };
  };
}

class Interrupter {
  readonly #session: Session;
  /** The sessions of the threads, by their numbers. */
  readonly #threads: Map<string, string> = new Map();
  #enabled: Promise<boolean> | undefined = undefined;

  constructor(session: Session) {
    this.#session = session;
    session.connect(); // throws under --permission
    const attached = ({ params }: Attached): void => {
      // Its `workerId` counts what this session has seen; only the title has the number.
      const [, threadId] = /^\[worker (\d+)\]/.exec(params.workerInfo.title) ?? [];
      if (threadId !== undefined) this.#threads.set(threadId, params.sessionId);
    };
    const detached = ({ params }: { params: { sessionId: string } }): void => {
      for (const [threadId, sessionId] of this.#threads)
        if (sessionId === params.sessionId) this.#threads.delete(threadId);
    };
    session.on("NodeWorker.attachedToWorker", attached as never);
    session.on("NodeWorker.detachedFromWorker", detached as never);
  }

  async terminate(threadId: number): Promise<boolean> {
    this.#enabled ??= new Promise((resolve) => {
      const options = { waitForDebuggerOnStart: false };
      this.#session.post("NodeWorker.enable", options, (refused) => resolve(refused === null));
    });
    const isEnabled = await this.#enabled;
    const sessionId = this.#threads.get(String(threadId));
    if (!isEnabled || sessionId === undefined) return false;
    const message = JSON.stringify({ id: 1, method: "Runtime.terminateExecution" });
    this.#session.post("NodeWorker.sendMessageToWorker", { sessionId, message });
    return true;
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
