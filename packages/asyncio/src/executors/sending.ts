/**
 * What can be copied to another thread, and where in a value the part is that cannot.
 *
 * Values are handed to the host as they are, and looked at only when it refuses them: the search
 * costs much more than the copy.
 */

import { advice } from "../errors/errors.ts";
import { attempt, headline, isA, render } from "../errors/render.ts";
import { NotSendableError } from "./errors.ts";

/** Objects that are looked at in a value that the host has refused. */
const MOST_OBJECTS = 100_000;
/** How deep. */
const DEEPEST = 200;

/** A copy such as a worker gets. jsdom, as Jest has it, hides the function of the host for that. */
export function clone<T>(value: T, transfer: readonly object[] = []): T {
  if (globalThis.structuredClone !== undefined)
    return structuredClone(value, { transfer: [...transfer] as never });
  const threads = process.getBuiltinModule("node:worker_threads");
  const { port1, port2 } = new threads.MessageChannel();
  try {
    port1.postMessage(value, transfer as never);
    return threads.receiveMessageOnPort(port2)?.message;
  } finally {
    port1.close();
  }
}

/** Whether the host can copy it. */
export function isSendable(value: unknown): boolean {
  try {
    clone(value);
    return true;
  } catch {
    return false;
  }
}

/** Why the host has refused `value`, which is called `name`: the first part that is to blame. */
export function refusal(name: string, value: unknown, cause: unknown): NotSendableError {
  const found = culprit(value, name, new Set(), 0) ?? { path: name, why: headline(cause) };
  return new NotSendableError(found.path, found.why, { cause });
}

interface Culprit {
  readonly path: string;
  readonly why: string;
}

function culprit(
  value: unknown,
  path: string,
  seen: Set<unknown>,
  depth: number,
): Culprit | undefined {
  if (typeof value === "function") return { path, why: `it is ${render(value)}` };
  if (typeof value === "symbol") return { path, why: "it is a symbol" };
  if (typeof value !== "object" || value === null || isSendable(value)) return undefined;
  if (seen.has(value) || seen.size > MOST_OBJECTS || depth > DEEPEST) return undefined;
  seen.add(value);
  for (const [part, inner] of partsOf(value)) {
    if (inner instanceof Thrown) return { path: path + part, why: `${inner.text}` };
    const found = culprit(inner, path + part, seen, depth + 1);
    if (found !== undefined) return found;
  }
  if (/ (Async)?Generator\]$/.test(tagOf(value)))
    return { path, why: `it is a generator${advice("Ask for its items with `stream`")}` };
  return { path, why: `it is ${render(value)}` };
}

const tagOf = (value: object): string => attempt(() => Object.prototype.toString.call(value)) ?? "";

class Thrown {
  readonly text: string;
  constructor(error: unknown) {
    this.text = `reading it throws ${headline(error)}`;
  }
}

function* partsOf(value: object): Generator<[part: string, inner: unknown]> {
  if (isA(value, Map)) {
    for (const [key, inner] of value) {
      yield [`.key(${render(key)})`, key];
      yield [`.get(${render(key)})`, inner];
    }
    return;
  }
  if (isA(value, Set)) {
    for (const inner of value) yield [".values()", inner];
    return;
  }
  let keys: string[] = [];
  try {
    keys = Object.keys(value);
  } catch {
    return; // a proxy
  }
  for (const key of keys) {
    const part = Array.isArray(value)
      ? `[${key}]`
      : /^[\w$]+$/.test(key)
        ? `.${key}`
        : `[${JSON.stringify(key)}]`;
    let inner: unknown;
    try {
      inner = (value as Record<string, unknown>)[key];
    } catch (error) {
      inner = new Thrown(error);
    }
    yield [part, inner];
  }
}

// --- callbacks

/** The place of a callback among the arguments: keys, from the outside in. */
export type CallbackPlace = readonly [
  path: readonly (string | number)[],
  id: number,
  sync: boolean,
];

/** What `callback` has made of a function. */
export interface CallbackFunction {
  readonly fn: (...args: never[]) => unknown;
  readonly isSync: boolean;
}
const callbacks: WeakMap<object, CallbackFunction> = new WeakMap();

/** From now on `fn` may be sent: the worker gets a function that calls it here. */
export function registerCallback(fn: object, callback: CallbackFunction): void {
  callbacks.set(fn, callback);
}

/** The callbacks among the arguments of a job. */
export interface Callbacks {
  readonly places: readonly CallbackPlace[];
  readonly functions: readonly CallbackFunction[];
}

/** Arguments without their callbacks, and what those are. */
export interface Packed {
  readonly args: readonly unknown[];
  readonly callbacks: Callbacks | undefined;
}

/**
 * Arguments as they can be sent. Callbacks are also found inside of plain objects and arrays, which
 * are copied then.
 */
export function pack(args: readonly unknown[]): Packed {
  const places: CallbackPlace[] = [];
  const functions: CallbackFunction[] = [];
  const take = (value: unknown, path: readonly (string | number)[], seen: object[]): unknown => {
    if (typeof value === "function") {
      const callback = callbacks.get(value);
      if (callback === undefined) throw notSendable(path, value);
      functions.push(callback);
      places.push([path, functions.length - 1, callback.isSync]);
      return undefined;
    }
    if (!isPlain(value) || seen.includes(value)) return value;
    let copy: Record<string, unknown> | unknown[] | undefined;
    for (const key of Object.keys(value)) {
      let inner: unknown;
      try {
        inner = (value as Record<string, unknown>)[key];
      } catch {
        continue; // the host meets that, too, and is asked why
      }
      const taken = take(inner, [...path, key], [...seen, value]);
      if (taken === inner) continue;
      copy ??= Array.isArray(value) ? [...value] : { ...value };
      (copy as Record<string, unknown>)[key] = taken;
    }
    return copy ?? value;
  };
  const taken = args.map((arg, index) => take(arg, [index], []));
  if (places.length === 0) return { args, callbacks: undefined };
  return { args: taken, callbacks: { places, functions } };
}

/** Whether `pack` has anything to do with the arguments themselves. */
export function hasFunction(args: readonly unknown[]): boolean {
  for (let index = 0; index < args.length; index++)
    if (typeof args[index] === "function") return true;
  return false;
}

/** Whether it is copied whenever it is passed: no object. A symbol or function cannot be sent. */
export function isPrimitive(value: unknown): boolean {
  if (typeof value === "object") return value === null;
  return typeof value !== "function" && typeof value !== "symbol";
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function notSendable(path: readonly (string | number)[], value: unknown): NotSendableError {
  const [first, ...rest] = path;
  const name = `args[${first}]${rest.map((key) => (/^\d+$/.test(String(key)) ? `[${key}]` : `.${key}`)).join("")}`;
  return new NotSendableError(
    name,
    `it is ${render(value)}${advice("Wrap it in `callback`, and the worker can call it")}`,
  );
}

/** Puts functions into the places of callbacks. */
export function unpack(
  args: readonly unknown[],
  places: readonly CallbackPlace[],
  make: (id: number, isSync: boolean) => unknown,
): readonly unknown[] {
  const whole = [...args];
  for (const [path, id, isSync] of places) {
    let at: Record<string | number, unknown> = whole as never;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
    at[path.at(-1) as string | number] = make(id, isSync);
  }
  return whole;
}

// --- transfer

const moved: WeakMap<object, readonly object[]> = new WeakMap();

/** Remembers what is to be moved when `value` is sent. */
export function rememberTransfer(value: object, list: readonly object[]): void {
  moved.set(value, list);
}

/** What is to be moved with `value`. */
export function transferOf(value: unknown): readonly object[] | undefined {
  return typeof value === "object" && value !== null ? moved.get(value) : undefined;
}
