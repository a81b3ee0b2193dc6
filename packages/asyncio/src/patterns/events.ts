/**
 * Events of emitters and event targets, as a wait and as a stream. Listeners are there from the
 * call on, so no event is missed before the first wait, and they are gone on every path.
 */

import { argumentError, checkOptions } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { channel, checkCapacity, checkOnDrop } from "./channel.ts";
import { whenClosed } from "./scope-end.ts";
import { Stream } from "./stream.ts";

/** An EventEmitter, by its shape. */
export interface EmitterLike {
  /** Adds `listener` for the event `name`. */
  // biome-ignore lint/suspicious/noExplicitAny: typed emitters have no common type
  on(name: any, listener: any): unknown;
  /** Takes `listener` for the event `name` away. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  off(name: any, listener: any): unknown;
}

/** An EventTarget, by its shape. */
export interface TargetLike<E = unknown> {
  /** Adds `listener` for the event `name`. */
  addEventListener(name: string, listener: (event: E) => void): void;
  /** Takes `listener` for the event `name` away. */
  removeEventListener(name: string, listener: (event: E) => void): void;
}

/** What `events` takes. */
export interface EventsOptions<E> {
  /** How many events may wait for their consumer. @default Infinity */
  readonly capacity?: number | undefined;
  /**
   * What becomes of an event when the consumer is behind: nobody can make an emitter wait.
   * @default "dropOldest"
   */
  readonly overflow?: "dropOldest" | "dropNewest" | undefined;
  /** Is called with each event that is dropped. What it throws is reported. */
  readonly onDrop?: ((event: E) => void) | undefined;
  /** The event that ends the stream. */
  readonly until?: string | undefined;
}

const KNOWN: Names<EventsOptions<unknown>> = { capacity: 1, overflow: 1, onDrop: 1, until: 1 };

type Listener = (...args: unknown[]) => void;

/** Adds `listener`, and gives what takes it away. */
function listen(target: unknown, name: unknown, listener: Listener): () => void {
  if (isEmitter(target)) {
    target.on(name, listener);
    return () => void target.off(name, listener);
  }
  const events = target as TargetLike; // checked by the caller
  events.addEventListener(name as string, listener);
  return () => events.removeEventListener(name as string, listener);
}

function isEmitter(target: unknown): target is EmitterLike {
  const { on, off } = (target ?? {}) as Partial<EmitterLike>;
  return typeof on === "function" && typeof off === "function";
}

function checkTarget(api: string, target: unknown, name: unknown): void {
  const { addEventListener } = (target ?? {}) as Partial<TargetLike>;
  if (!isEmitter(target) && typeof addEventListener !== "function")
    throw argumentError(api, "an EventEmitter or an EventTarget", target);
  if (typeof name !== "string" && typeof name !== "symbol")
    throw argumentError(api, "the name of an event", name);
}

/**
 * Waits for the next event `name` of `target`, which gives the event, or of an `emitter`, which
 * gives its arguments. Listens from
 * the call on. An "error" event of an emitter rejects with its error. Cancelled, it listens no
 * more. Source: `events.once` of Node.
 *
 * @example
 * import { EventEmitter } from "node:events";
 * const emitter = new EventEmitter();
 * const waiting = patterns.once<[text: string]>(emitter, "data");
 * emitter.emit("data", "hello");
 * assert.deepEqual(await waiting, ["hello"]);
 */
export function once<E>(target: TargetLike<E>, name: string): Promise<E>;
export function once<A extends readonly unknown[] = unknown[]>(
  emitter: EmitterLike,
  name: string | symbol,
): Promise<A>;
export function once(target: unknown, name: unknown): Promise<unknown> {
  try {
    checkTarget("`once`", target, name);
  } catch (error) {
    return Promise.reject(error);
  }
  const scope = here();
  const subject = `the event ${JSON.stringify(String(name))}`;
  const stop = scope.interruption(subject);
  if (stop !== undefined) return stop;
  const releases: (() => void)[] = [];
  const release = (): true => {
    for (const undo of releases.splice(0)) undo();
    return true;
  };
  const wait = park<unknown>(scope, subject, release);
  wait.isForeign = true; // anything may emit
  wait.handsOver = true;
  const isArguments = isEmitter(target);
  releases.push(
    listen(target, name, (...args) => {
      release();
      wait.resume(isArguments ? args : args[0]);
    }),
  );
  if (isArguments && name !== "error")
    releases.push(
      listen(target, "error", (error) => {
        release();
        wait.fail(error);
      }),
    );
  return wait.promise;
}

/**
 * The events `name` of a `target` as a stream: of an EventTarget the events, of an `emitter` their
 * arguments.
 * Listens from the call on, until the loop over the stream is left, `until` comes, an emitter has
 * an "error" (which the loop throws, after what came before), or the scope of the call has ended.
 * For one loop. Source: `events.on` of Node, with a bound.
 *
 * @example
 * import { EventEmitter } from "node:events";
 * const emitter = new EventEmitter();
 * const lines = patterns.events<[text: string]>(emitter, "line", { until: "end" });
 * for (const text of ["a", "b"]) emitter.emit("line", text);
 * emitter.emit("end");
 * assert.deepEqual(await lines.map(([text]) => text).toArray(), ["a", "b"]);
 * assert.equal(emitter.listenerCount("line"), 0);
 */
export function events<E>(
  target: TargetLike<E>,
  name: string,
  options?: EventsOptions<E>,
): Stream<E>;
export function events<A extends readonly unknown[] = unknown[]>(
  emitter: EmitterLike,
  name: string | symbol,
  options?: EventsOptions<A>,
): Stream<A>;
export function events(
  target: unknown,
  name: unknown,
  options?: EventsOptions<never>,
): Stream<unknown> {
  const api = "`events`";
  checkTarget(api, target, name);
  checkOptions(api, options, KNOWN);
  const { capacity = Number.POSITIVE_INFINITY, overflow = "dropOldest" } = options ?? {};
  checkCapacity(api, capacity, 1);
  if (overflow !== "dropOldest" && overflow !== "dropNewest")
    throw argumentError(api, '`overflow` to be "dropOldest" or "dropNewest"', overflow);
  checkOnDrop(api, options?.onDrop);
  const onDrop = options?.onDrop as ((event: unknown) => void) | undefined;
  const [sender, receiver] = channel<{ event: unknown }>(capacity, {
    name: String(name),
    overflow,
    onDrop: onDrop && (({ event }) => onDrop(event)),
  });

  const scope = here();
  const { loop, task } = scope;
  let failure: { readonly error: unknown } | undefined;
  const releases: (() => void)[] = [];
  const end = (): void => {
    for (const undo of releases.splice(0)) undo();
    sender.close();
  };
  const isArguments = isEmitter(target);
  releases.push(
    listen(target, name, (...args) => {
      if (!receiver.closed) sender.trySend({ event: isArguments ? args : args[0] });
    }),
  );
  if (isArguments && name !== "error")
    releases.push(
      listen(target, "error", (error) => {
        failure = { error };
        end();
      }),
    );
  if (options?.until !== undefined) releases.push(listen(target, options.until, end));
  const release = whenClosed(scope, () => {
    end();
    const { error: exception } = failure ?? {};
    const message = `an emitter has failed, and nobody has read its events to the end`;
    if (failure !== undefined) loop.callExceptionHandler({ message, exception, task });
    failure = undefined;
  });

  return new Stream(async (emit) => {
    try {
      for await (const { event } of receiver) await emit(event);
      const failed = failure;
      failure = undefined;
      if (failed !== undefined) throw failed.error;
    } finally {
      end();
      receiver.close();
      if (failure === undefined) release();
    }
  });
}
