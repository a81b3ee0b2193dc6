/**
 * Calls that a job makes back to the thread of its caller. An async one is a join: the callback is
 * asked to stop when the job is cancelled, and waited for. A sync one blocks this thread, which
 * hears the port itself until the answer is there.
 */

import { CancelledError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { errorOf } from "./error-table.ts";
import { SharedMemory } from "./memory.ts";
import { type CallOutcome, type FromWorker, fromWorker } from "./protocol.ts";
import { refusal } from "./sending.ts";

/** A call that has not been answered. */
interface Calling {
  outcome: CallOutcome | undefined;
  wait: Wait<CallOutcome> | undefined;
}

/** The job that runs, as its callbacks see it. */
interface Caller {
  readonly seq: number;
  readonly slot: number;
  hasSent: boolean;
}

export class CallbackCalls {
  readonly #port: { postMessage(message: FromWorker): void };
  readonly #memory: SharedMemory;
  /** Takes in what has come while this thread was busy. */
  readonly #hear: () => void;
  readonly #current: () => Caller | undefined;
  readonly #calls: Map<number, Calling> = new Map();
  #lastCall = 0;

  constructor(
    port: { postMessage(message: FromWorker): void },
    memory: SharedMemory,
    hear: () => void,
    current: () => Caller | undefined,
  ) {
    this.#port = port;
    this.#memory = memory;
    this.#hear = hear;
    this.#current = current;
  }

  /** The function that a job gets in place of the callback. */
  callback(
    seq: number,
    callback: number,
    isSync: boolean,
  ): (...args: readonly unknown[]) => unknown {
    return (...args) => {
      if (this.#current()?.seq !== seq) {
        const error = new Error("a callback was called after its job had ended");
        if (isSync) throw error;
        return Promise.reject(error);
      }
      return isSync ? this.#callSync(seq, callback, args) : this.#callAsync(seq, callback, args);
    };
  }

  /** The caller's thread has answered. */
  answered(call: number, outcome: CallOutcome): void {
    const calling = this.#calls.get(call);
    if (calling === undefined) return;
    calling.outcome = outcome;
    this.#calls.delete(call);
    calling.wait?.joined(outcome);
  }

  /** The job was cut off: no answer is of any use. */
  clear(): void {
    this.#calls.clear();
  }

  #ask(seq: number, callback: number, args: readonly unknown[], calling: Calling): number {
    const call = ++this.#lastCall;
    const current = this.#current();
    if (current !== undefined) current.hasSent = true;
    try {
      this.#port.postMessage([fromWorker.call, seq, call, callback, args]);
    } catch (error) {
      throw refusal("args", args, error);
    }
    this.#calls.set(call, calling);
    return call;
  }

  async #callAsync(seq: number, callback: number, args: readonly unknown[]): Promise<unknown> {
    const scope = here();
    const stop = scope.interruption("a callback");
    if (stop !== undefined) return stop;
    const calling: Calling = { outcome: undefined, wait: undefined };
    const call = this.#ask(seq, callback, args, calling);
    // It goes on in the caller's thread, and is waited for: nothing of a job outlives it.
    calling.wait = park<CallOutcome>(scope, "a callback", () => {
      this.#port.postMessage([fromWorker.uncall, seq, call]);
      return false;
    });
    return answerIn(await calling.wait.promise);
  }

  #callSync(seq: number, callback: number, args: readonly unknown[]): unknown {
    const { words } = this.#memory;
    const slot = this.#current()?.slot ?? 0;
    const calling: Calling = { outcome: undefined, wait: undefined };
    const call = this.#ask(seq, callback, args, calling);
    for (;;) {
      const { bell } = this.#memory;
      this.#hear();
      if (calling.outcome !== undefined) return answerIn(calling.outcome);
      if (Atomics.load(words, slot) === SharedMemory.asked(seq)) {
        const cancellation = here().takeDue();
        if (cancellation !== undefined) {
          this.#calls.delete(call);
          throw new CancelledError(cancellation);
        }
      }
      this.#memory.waitForBell(bell);
    }
  }
}

function answerIn(outcome: CallOutcome): unknown {
  if (outcome[0] === "value") return outcome[1];
  if (outcome[0] === "failed") throw errorOf(outcome[1]);
  throw new CancelledError({ reason: outcome[1] });
}
