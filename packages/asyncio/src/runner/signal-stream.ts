/**
 * Signals of the process as an async iterable, bound to a scope: it ends with it, or when the scope
 * is cancelled. Between two reads signals wait in order. Sources: Trio's open_signal_receiver,
 * asyncio's add_signal_handler.
 */

import { advice, argumentError } from "../errors/errors.ts";
import { completed, here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import type { Timer } from "../structures/timers.ts";
import {
  checkSignalNames,
  type Delivery,
  receiveSignals,
  type SignalName,
  stopReceiving,
} from "./signals.ts";

/** The iterables that each scope has to end. */
const openIn: WeakMap<Scope, Set<Signals>> = new WeakMap();

/**
 * Signals as they come. Made by `signals`.
 *
 * @example
 * using reloads = asyncio.signals(["SIGHUP"]);
 * const next = asyncio.createTask(() => reloads.next());
 * await asyncio.sleep(0.01);
 * process.kill(process.pid, "SIGHUP");
 * assert.deepEqual(await next, { done: false, value: "SIGHUP" });
 */
export class Signals implements AsyncIterableIterator<SignalName>, Disposable {
  /** The signals that it listens for. */
  readonly names: readonly SignalName[];
  readonly #siblings: Set<Signals>;
  /** What came and was not read. */
  readonly #unread: RingBuffer<Delivery> = new RingBuffer();
  readonly #readers: WaitList<Wait> = new WaitList();
  readonly #subject: WaitSubject = { describeWait: () => `signals ${this.names.join(", ")}` };
  #isClosed = false;

  /** @internal */
  constructor(names: readonly SignalName[], scope: Scope) {
    this.names = Object.freeze([...new Set(names)]);
    this.#siblings = siblingsIn(scope);
    this.#siblings.add(this);
    try {
      receiveSignals(this.names, this);
    } catch (error) {
      this.close(); // a host may not know all of them
      throw error;
    }
  }

  /**
   * Waits for the next signal. Several tasks get the signals in turn. Gives `done` once it is
   * closed. If it is cancelled, it has taken none. Keeps the process alive while it waits. On a
   * virtual loop time goes on meanwhile, because a signal may or may not come.
   */
  next(): Promise<IteratorResult<SignalName, undefined>> {
    const scope = here();
    const stop = scope.interruption(this.#subject);
    if (stop !== undefined) return stop;
    if (this.#unread.length > 0)
      return completed(scope, this.#subject, taken(this.#unread.shift()));
    if (this.#isClosed) return completed(scope, this.#subject, end);
    const wait = park<IteratorResult<SignalName, undefined>>(scope, this.#subject, stopKeepAlive);
    wait.handsOver = true;
    // A listener does not keep the process alive; a task that waits for a signal wants it to.
    wait.offer = scope.loop.addTimer(Number.POSITIVE_INFINITY, wait);
    this.#readers.add(wait);
    return wait.promise;
  }

  /** Closes it: what a `for await` does that is left. */
  return(): Promise<IteratorResult<SignalName, undefined>> {
    this.close();
    return Promise.resolve(end);
  }

  /**
   * Removes the listeners. Tasks that wait for a signal get `done`. Signals that came and were not
   * read are dropped. Those that `run` would have had, and that no other iterable has read, go to
   * `run` now. Does nothing the second time.
   */
  close(): void {
    this.#siblings.delete(this);
    this.stopReceiving();
    while (this.#resumeReader(end));
  }

  /**
   * @internal The scope was cancelled. Readers in it get its CancelledError, readers elsewhere
   * `done` when it ends.
   */
  stopReceiving(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    while (this.#unread.length > 0) this.#unread.shift();
    stopReceiving(this.names, this);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** @internal */
  received(delivery: Delivery): void {
    if (this.#readers.first === undefined) this.#unread.push(delivery);
    else this.#resumeReader(taken(delivery));
  }

  #resumeReader(result: IteratorResult<SignalName, undefined>): boolean {
    const reader = this.#readers.first;
    if (reader === undefined) return false;
    stopKeepAlive(reader);
    return reader.resume(result);
  }
}

const end: IteratorReturnResult<undefined> = /* @__PURE__ */ Object.freeze({
  done: true,
  value: undefined,
});

/**
 * One iterable has read it: the run does not need it any more, even if other iterables have not
 * read it.
 */
function taken(delivery: Delivery): IteratorResult<SignalName, undefined> {
  delivery.unread.delete(delivery);
  return { done: false, value: delivery.name };
}

function stopKeepAlive(wait: Wait | Wait<never>): true {
  wait.scope.loop.cancelTimer(wait.offer as Timer); // set by next()
  return true;
}

/** One hook for each scope: an iterable that was closed leaves nothing behind in it. */
function siblingsIn(scope: Scope): Set<Signals> {
  const known = openIn.get(scope);
  if (known !== undefined) return known;
  const siblings = new Set<Signals>();
  scope.watch({
    cancelled() {
      for (const sibling of siblings) sibling.stopReceiving();
    },
    closed() {
      for (const sibling of [...siblings]) sibling.close();
    },
  });
  openIn.set(scope, siblings);
  return siblings;
}

/**
 * Receives signals of the process, as an async iterable that ends with the current scope. From the
 * call on no signal is lost: signals that come between two reads wait in order. (The system itself
 * may make one of two equal signals that come at once.) While it is open, a signal that would
 * cancel `run` comes here instead. Once `run` is ending, a second signal ends the process all the
 * same. Several iterables get the same signal each.
 *
 * It is closed when a loop over it is left with `break`, by `using`, by `close`, and when its scope
 * ends or is cancelled. Then the signals do again what they did before.
 *
 * @throws TypeError for a name that no process can listen to, and in a worker of Node or Bun, where
 * no signal comes.
 *
 * @example
 * using received = asyncio.signals(["SIGHUP"]);
 * process.kill(process.pid, "SIGHUP");
 * assert.deepEqual(await received.next(), { done: false, value: "SIGHUP" });
 */
export function signals(names: readonly SignalName[]): Signals {
  checkSignalNames("`signals`", "an array", names);
  if (names.length === 0) throw argumentError("`signals`", "at least one name of a signal", names);
  if (typeof process === "undefined")
    throw argumentError("`signals`", "a host whose process gets signals", "a browser");
  if (isDeafWorker()) {
    const cure = advice("Call it in the main thread, and tell the worker by a message");
    throw argumentError("`signals`", "a thread that gets signals", "a worker", cure);
  }
  return new Signals(names, here());
}

/** A listener there is taken without a word, and never called. Deno calls those of its workers. */
function isDeafWorker(): boolean {
  if ("Deno" in globalThis) return false;
  // A stand-in for `process`, as bundlers have one, lacks it.
  return process.getBuiltinModule?.("node:worker_threads")?.isMainThread === false;
}
