/**
 * Events of emitters and event targets, as a wait and as a stream. Listeners are there from the
 * call on, so no event is missed before the first wait, and they are gone on every path.
 */

import { argumentError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { channel } from "./channel.ts";
import { whenClosed } from "./scope-end.ts";
import { callback, count, oneOf, settle } from "./settings.ts";
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

const OPTIONS = {
  capacity: [count, Number.POSITIVE_INFINITY],
  overflow: [oneOf("dropOldest", "dropNewest"), "dropOldest"],
  onDrop: callback,
  until: "string",
} as const;

type Listener = (...args: unknown[]) => void;

/** Listens for an event, for the errors of an emitter, for what ends it; gives what stops that. */
type Listen = (
  event: (event: unknown) => void,
  failed: (error: unknown) => void,
  until?: readonly [name: string | undefined, end: () => void],
) => () => void;

/** What listens for the events `name`, as the target wants it. @throws TypeError. */
function listenerFor(api: string, target: unknown, name: unknown): Listen {
  const methods = (target ?? {}) as Partial<EmitterLike & TargetLike>;
  const isEmitter = typeof methods.on === "function" && typeof methods.off === "function";
  if (!isEmitter && typeof methods.addEventListener !== "function")
    throw argumentError(api, "an EventEmitter or an EventTarget", target);
  if (typeof name !== "string" && typeof name !== "symbol")
    throw argumentError(api, "the name of an event", name);
  return (event, failed, [end, ended] = [undefined, () => {}]) => {
    const listeners: [name: unknown, listener: Listener][] = [
      [name, (...args) => event(isEmitter ? args : args[0])],
    ];
    if (isEmitter && name !== "error") listeners.push(["error", failed]);
    if (end !== undefined) listeners.push([end, ended]);
    const each = (method: keyof typeof methods): void => {
      for (const one of listeners) (methods[method] as Listener).call(target, ...one);
    };
    each(isEmitter ? "on" : "addEventListener");
    return () => each(isEmitter ? "off" : "removeEventListener");
  };
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
  let listen: Listen;
  try {
    listen = listenerFor("`once`", target, name);
  } catch (error) {
    return Promise.reject(error);
  }
  const scope = here();
  const subject = `the event ${JSON.stringify(String(name))}`;
  const stop = scope.interruption(subject);
  if (stop !== undefined) return stop;
  const wait = park<unknown>(scope, subject, () => {
    stopListening();
    return true;
  });
  wait.isForeign = true; // anything may emit
  wait.handsOver = true;
  const stopListening = listen(
    (event) => {
      stopListening();
      wait.resume(event);
    },
    (error) => {
      stopListening();
      wait.fail(error);
    },
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
  const listen = listenerFor(api, target, name);
  const { capacity, overflow, onDrop, until } = settle(api, options, OPTIONS);
  const [sender, receiver] = channel<{ event: unknown }>(capacity, {
    name: String(name),
    overflow,
    onDrop: onDrop && (({ event }) => onDrop(event as never)), // of this target
  });

  const scope = here();
  const { loop, task } = scope;
  let failure: { readonly error: unknown } | undefined;
  const end = (): void => {
    stopListening();
    sender.close();
  };
  const event = (event: unknown): void => {
    if (!receiver.closed) sender.trySend({ event });
  };
  const failed = (error: unknown): void => {
    failure = { error };
    end();
  };
  const stopListening = listen(event, failed, [until, end]);
  const release = whenClosed(scope, () => {
    end();
    const { error: exception } = failure ?? {};
    const message = "an emitter has failed, and nobody has read its events to the end";
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
