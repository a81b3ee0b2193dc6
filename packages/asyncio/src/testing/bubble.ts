/**
 * Bubbles. Code that runs on a loop in virtual time may know nothing of the loop. In a bubble it
 * sees virtual time through the host's own globals: setTimeout, setInterval, setImmediate and the
 * functions that clear them, Date, performance.now, and Math.random if wanted.
 *
 * The globals are replaced while a bubble is open anywhere. A replacement asks for the scope of the
 * code that calls it: on a loop with an open bubble it answers in that loop's time, for all other
 * code it calls the original, so real time goes on beside a bubble, and bubbles beside each other.
 * The library itself took its originals at load (kernel/host.ts). `structuredClone`,
 * `queueMicrotask` and `process.nextTick` know no time and stay as they are.
 */

import { argumentError, InvalidStateError, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Handle } from "../kernel/callback.ts";
import { scopeAround } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { contextStorage } from "../ports/context-storage.ts";
import type { Context } from "../structures/context-values.ts";
import { copyContext } from "../tasks/context-var.ts";

/**
 * What the host's globals tell the code in a bubble. Not covered, and in real time: what is
 * imported from `node:timers` and `node:timers/promises`, and `promisify(setTimeout)`, which is one
 * of the latter; `AbortSignal.timeout`; the rest of `performance`; whatever took a global, or
 * extended Date, before the bubble was opened.
 */
export interface BubbleOptions {
  /** What `Date` says when the bubble is opened. @default 2000-01-01T00:00:00Z */
  readonly date?: Date | undefined;
  /**
   * What `Math.random` draws from: numbers from 0 up to 1. @default the host's, which no seed
   * repeats
   */
  readonly random?: (() => number) | undefined;
}

export const BUBBLE: Names<BubbleOptions> = { date: 1, random: 1 };

/**
 * Opens a bubble around everything that runs on `loop`; gives the function that closes it. While it
 * is open, code there that uses the host's timers, `Date` and `performance.now()` sees the time of
 * the loop: `performance.now()` begins at 0, `Date` at `date`. A callback runs as a step of the
 * loop, in the context in which the timer was set, and what it throws or rejects with goes to the
 * exception handler of the loop; an interval goes on after it. The timers count as timers of the
 * loop (`loop.statistics()`), and the clock jumps to them, also if they were `unref`ed: the loop
 * has one kind of timer.
 *
 * Closing cancels the timers that are left, for good, and does nothing the second time. A library
 * that keeps one timer for the whole process must have set it before: a timer that was set inside
 * does not outlive the bubble.
 *
 * @throws InvalidStateError when the loop has an open bubble.
 */
export function openBubble(loop: EventLoop, options: BubbleOptions): () => void {
  const { date = new Date(Date.UTC(2000, 0, 1)), random } = options;
  if (!(date instanceof Date)) throw argumentError("`bubble`", "`date` to be a Date", date);
  if (Number.isNaN(date.getTime())) throw rangeError("`bubble`", "a `date` that exists", date);
  if (random !== undefined && typeof random !== "function")
    throw argumentError("`bubble`", "`random` to be a function", random);
  if (bubbles.has(loop)) throw new InvalidStateError("`bubble` is open already on this loop");
  if (bubbles.size === 0) replaceGlobals();
  const bubble = new Bubble(loop, date.getTime(), random);
  bubbles.set(loop, bubble);
  return () => {
    if (!bubble.isOpen) return;
    bubbles.delete(loop);
    for (const timer of [...bubble.pending]) timer.close();
    if (bubbles.size === 0) restoreGlobals();
  };
}

const bubbles: Map<EventLoop, Bubble> = new Map();

function bubbleHere(): Bubble | undefined {
  if (bubbles.size === 0) return undefined; // called through a reference that was kept
  const scope = scopeAround();
  return scope === undefined ? undefined : bubbles.get(scope.loop);
}

class Bubble {
  readonly loop: EventLoop;
  readonly random: (() => number) | undefined;
  /** The timers that the loop will call. */
  readonly pending: Set<VirtualTimer> = new Set();
  readonly #openedAt: number;
  readonly #dateMs: number;

  constructor(loop: EventLoop, dateMs: number, random: (() => number) | undefined) {
    this.loop = loop;
    this.random = random;
    this.#openedAt = loop.time();
    this.#dateMs = dateMs;
  }

  get isOpen(): boolean {
    return bubbles.get(this.loop) === this;
  }

  /**
   * Rounded to the microsecond: 0.57 s are 569.9999999999999 ms, and after such a sleep a
   * millisecond would be missing.
   */
  elapsedMs(): number {
    return Math.round((this.loop.time() - this.#openedAt) * 1e6) / 1e3;
  }

  dateMs(): number {
    return this.#dateMs + Math.floor(this.elapsedMs());
  }
}

// --- timers

type Callback = (...args: unknown[]) => unknown;
type Kind = "timeout" | "interval" | "immediate";

const LONGEST_DELAY_MS = 2 ** 31 - 1;
/**
 * No host gives its timers such ids; as 32-bit integers, which some hosts make of an id, they are
 * negative.
 */
const FIRST_ID = 2 ** 40 + 2 ** 31;

let nextId = FIRST_ID;
/** The timers that will fire, in all bubbles: a timer may be cleared by its number. */
const timers: Map<number, VirtualTimer> = new Map();

/**
 * What the setters give inside a bubble: Node's Timeout, and its Immediate, which has less than
 * this.
 */
class VirtualTimer {
  readonly kind: Kind;
  readonly #id = nextId++;
  readonly #bubble: Bubble;
  readonly #callback: Callback;
  readonly #args: unknown[];
  readonly #seconds: number;
  // Taken when it is set: an interval, and a timer that is refreshed, begin each time in the
  // contexts they began in first.
  readonly #inContext: <R>(fn: () => R) => R = contextStorage().snapshot();
  readonly #variables: Context = copyContext();
  /** Set if the loop will call. */
  #handle: Handle | undefined = undefined;
  #isRefed = true;
  #isClosed = false;

  constructor(kind: Kind, bubble: Bubble, callback: Callback, args: unknown[]) {
    this.kind = kind;
    this.#bubble = bubble;
    this.#callback = callback;
    const delayMs = kind === "immediate" ? 0 : Number(args[0]);
    this.#args = kind === "immediate" ? args : args.slice(1);
    // As in Node: what is no delay is 1 ms, and so is what does not fit in 32 bits.
    const isDelay = delayMs >= 1 && delayMs <= LONGEST_DELAY_MS;
    this.#seconds = isDelay ? Math.trunc(delayMs) / 1000 : 0.001;
    this.refresh();
  }

  ref(): this {
    this.#isRefed = true;
    if (this.#handle !== undefined) this.#handle.isAwaited = true;
    return this;
  }

  unref(): this {
    this.#isRefed = false;
    if (this.#handle !== undefined) this.#handle.isAwaited = false;
    return this;
  }

  hasRef(): boolean {
    return this.#isRefed;
  }

  /** Starts the delay again, also after the timer has fired; not once it was cleared. */
  refresh(): this {
    this.#disarm();
    if (this.#isClosed || !this.#bubble.isOpen) return this;
    const { loop, pending } = this.#bubble;
    const { name } = this.#callback;
    const fire = Object.defineProperty((): unknown => this.#fire(), "name", { value: name });
    const arm = (): Handle =>
      this.kind === "immediate" ? loop.callSoon(fire) : loop.callLater(this.#seconds, fire);
    this.#handle = this.#inContext(() => this.#variables.run(arm));
    this.#handle.isAwaited = this.#isRefed;
    timers.set(this.#id, this);
    pending.add(this);
    return this;
  }

  close(): this {
    this.#isClosed = true;
    this.#disarm();
    return this;
  }

  [Symbol.toPrimitive](): number {
    return this.#id;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #disarm(): void {
    this.#handle?.cancel();
    this.#handle = undefined;
    timers.delete(this.#id);
    this.#bubble.pending.delete(this);
  }

  #fire(): unknown {
    this.#handle = undefined; // it is not cancelled: a report of its failure shows it
    this.#disarm();
    try {
      return Reflect.apply(this.#callback, this, this.#args);
    } finally {
      // Afterwards, as in Node: of equal deadlines those that the callback has set come first.
      if (this.kind === "interval") this.refresh();
    }
  }
}

// --- the globals

interface Replacement {
  readonly target: object;
  readonly name: string;
  readonly value: unknown;
  /** Undefined if the target has inherited the original. */
  readonly before: PropertyDescriptor | undefined;
}

const replacements: Replacement[] = [];

function replaceGlobals(): void {
  for (const kind of ["timeout", "interval", "immediate"] as const) {
    const name = kind.replace(/^./, (letter) => letter.toUpperCase());
    replace(globalThis, `set${name}`, (original) =>
      inBubble(original, (bubble, [callback, ...args]) =>
        isFunction(callback) ? new VirtualTimer(kind, bubble, callback, args) : undefined,
      ),
    );
    replace(globalThis, `clear${name}`, (original) => clearing(original, kind === "immediate"));
  }
  replace(performance, "now", (original) => inBubble(original, (bubble) => bubble.elapsedMs()));
  replace(Math, "random", (original) => inBubble(original, (bubble) => bubble.random?.()));
  const { prototype } = Date;
  replace(globalThis, "Date", (original) => virtualDate(original as DateConstructor)); // it is Date
  // What code asks is `value.constructor === Date`, and now that is another function.
  replace(prototype, "constructor", () => Date);
}

/** Puts `make(original)` in the place of a function, if the host has it. */
function replace(target: object, name: string, make: (original: Callback) => unknown): void {
  const original: unknown = Reflect.get(target, name);
  if (!isFunction(original)) return;
  const before = Object.getOwnPropertyDescriptor(target, name);
  const { enumerable = true, writable = true } = before ?? {};
  const value = make(original);
  Object.defineProperty(target, name, { value, enumerable, writable, configurable: true });
  replacements.push({ target, name, value, before });
}

/**
 * Puts back what was there, but only in place of what is ours. If other code has replaced it
 * meanwhile, taking theirs away would switch their fake timers, or their instrumentation, off
 * behind their back. They may hold ours as the original that they call or put back one day: it then
 * goes on calling the original that it has replaced.
 */
function restoreGlobals(): void {
  for (const { target, name, value, before } of replacements.splice(0).reverse()) {
    if (Object.getOwnPropertyDescriptor(target, name)?.value !== value) continue;
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  }
}

/**
 * `original`, but inside a bubble what `answer` gives. What it leaves undefined is for the host to
 * do, or to refuse.
 */
function inBubble(
  original: Callback,
  answer: (bubble: Bubble, args: unknown[]) => unknown,
): Callback {
  return dressedAs(original, function (this: unknown, ...args: unknown[]): unknown {
    const bubble = bubbleHere();
    const own = bubble === undefined ? undefined : answer(bubble, args);
    return own === undefined ? Reflect.apply(original, this, args) : own;
  });
}

/**
 * `original`, but a virtual timer is closed: of any bubble, from anywhere. As in Node, each to its
 * own kind.
 */
function clearing(original: Callback, immediates: boolean): Callback {
  return dressedAs(original, function (this: unknown, ...args: unknown[]): unknown {
    const [given] = args;
    const isId = typeof given === "number" || typeof given === "string";
    const timer = isId ? timers.get(Number(given)) : given;
    if (!(timer instanceof VirtualTimer)) return Reflect.apply(original, this, args);
    if ((timer.kind === "immediate") === immediates) timer.close();
    return undefined;
  });
}

/**
 * Date, but inside a bubble the present is virtual. A function with the properties of the original:
 * the dates of a subclass would be no plain Dates, and what a test sets on a proxy (a spy for
 * `Date.now`) would stay on the original.
 */
function virtualDate(original: DateConstructor): unknown {
  const now = (): number => bubbleHere()?.dateMs() ?? original.now();
  function present(...args: unknown[]): unknown {
    if (new.target === undefined) return new original(now()).toString();
    const isPresent = args.length === 0 && bubbleHere() !== undefined;
    return Reflect.construct(original, isPresent ? [now()] : args, new.target);
  }
  dressedAs(original as unknown as Callback, present); // it is a function, too
  return Object.defineProperty(present, "now", { value: dressedAs(original.now, now) });
}

/** Name, length, prototype and whatever else there is, for code that looks. */
function dressedAs<F extends Callback>(original: Callback, replacement: F): F {
  return Object.defineProperties(replacement, Object.getOwnPropertyDescriptors(original));
}

function isFunction(value: unknown): value is Callback {
  return typeof value === "function";
}
