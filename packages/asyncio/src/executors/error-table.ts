/**
 * Errors on their way between threads. The host's copy would lose the class of ours, their `code`
 * and all that a program has put on them. So an error and what hangs on it, its cause and the
 * members of a group, becomes a table of plain records; circles and shared causes stay what they
 * are.
 *
 * The class is one of a fixed list, the nearest one that the error is an instance of; a class of
 * the program becomes that, with its own `name`. No class is looked up by a name that came in, and
 * no key can reach a prototype. What cannot be sent is left out, and named in `notSent`.
 */

import {
  CancelledError,
  type CancelSource,
  InvalidStateError,
  TimeoutError,
} from "../errors/errors.ts";
import { isA, render } from "../errors/render.ts";
import { QueueEmpty, QueueFull, QueueShutDown } from "../queues/errors.ts";
import { IncompleteReadError, LimitOverrunError } from "../streams/errors.ts";
import { BrokenBarrierError } from "../sync/barrier.ts";
import { DeadlockError } from "../tasks/deadlock.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import {
  BrokenExecutorError,
  NotSendableError,
  WorkerLostError,
  WorkerModuleError,
} from "./errors.ts";
import { isSendable, refusal } from "./sending.ts";

/** Errors in one table, at most; what hangs on more is left out. */
const MOST_ERRORS = 200;
/** Own properties of one error. */
const MOST_PROPERTIES = 100;
/** Characters of a message or a stack. */
const LONGEST_TEXT = 65_536;

/** A value in a table: another record, or the value itself. */
type Cell = { readonly error: number } | { readonly value: unknown };

interface ErrorRecord {
  readonly type: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly own: readonly (readonly [key: string, cell: Cell])[];
  readonly cause?: Cell;
  readonly members?: readonly Cell[];
  readonly notSent: readonly string[];
  readonly cancelled?: { source: CancelSource; reason: unknown; requestedBy: string | undefined };
}

/** What was thrown, and all errors that hang on it. */
export interface ErrorTable {
  readonly thrown: Cell;
  readonly records: readonly ErrorRecord[];
}

type ErrorClass = abstract new (...args: never[]) => Error;
const classes: readonly ErrorClass[] = [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
  CancelledError,
  TimeoutError,
  InvalidStateError,
  ExceptionGroup,
  DeadlockError,
  BrokenBarrierError,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  IncompleteReadError,
  LimitOverrunError,
  NotSendableError,
  WorkerLostError,
  BrokenExecutorError,
  WorkerModuleError,
];
/** By their prototypes: a class may be minified, and then so is its name. */
const typeNames: ReadonlyMap<unknown, string> = new Map(
  classes.map((one) => [one.prototype, nameOf(one)]),
);
const prototypes: ReadonlyMap<string, object> = new Map(
  classes.map((one) => [nameOf(one), one.prototype]),
);

function nameOf(one: ErrorClass): string {
  return String((one.prototype as Error).name);
}

// --- there

/** What was thrown, as it can be sent. Runs no code of the program but getters; never throws. */
export function tableOf(thrown: unknown): ErrorTable {
  const records: ErrorRecord[] = [];
  const places = new Map<unknown, number>();
  const cellOf = (value: unknown, path: string, notSent: string[]): Cell | undefined => {
    if (isA(value, Error)) {
      const place = places.get(value);
      if (place !== undefined) return { error: place };
      if (places.size < MOST_ERRORS) return { error: add(value) };
      notSent.push(path);
      return undefined;
    }
    if (isSendable(value)) return { value };
    notSent.push(path);
    return undefined;
  };
  const add = (error: Error): number => {
    const place = places.size;
    places.set(error, place);
    records.length = Math.max(records.length, place + 1);
    const notSent: string[] = [];
    const own: [string, Cell][] = [];
    for (const key of keysOf(error)) {
      const value = read(error, key, notSent);
      const cell = value === undefined ? undefined : cellOf(value.value, key, notSent);
      if (cell !== undefined) own.push([key, cell]);
    }
    const members = isA(error, AggregateError) ? read(error, "errors", notSent)?.value : undefined;
    const cause = Object.hasOwn(error, "cause") ? read(error, "cause", notSent) : undefined;
    const causeCell = cause === undefined ? undefined : cellOf(cause.value, "cause", notSent);
    const memberCells = !Array.isArray(members)
      ? undefined
      : members.map(
          (one, index) => cellOf(one, `errors[${index}]`, notSent) ?? { value: undefined },
        );
    records[place] = {
      type: typeOf(error),
      name: textOf(error, "name"),
      message: textOf(error, "message"),
      stack: textOf(error, "stack"),
      own,
      ...(causeCell === undefined ? {} : { cause: causeCell }),
      ...(memberCells === undefined ? {} : { members: memberCells }),
      ...(isA(error, CancelledError) ? { cancelled: cancellationOf(error) } : {}),
      notSent,
    };
    return place;
  };
  const cell = cellOf(thrown, "thrown", []);
  if (cell !== undefined) return { thrown: cell, records };
  return tableOf(refusal("thrown", thrown, undefined));
}

function keysOf(error: Error): string[] {
  try {
    const keys = Object.keys(error).filter((key) => key !== "__proto__" && key !== "stack");
    return keys.slice(0, MOST_PROPERTIES);
  } catch {
    return [];
  }
}

function read(error: Error, key: string, notSent: string[]): { value: unknown } | undefined {
  try {
    return { value: (error as unknown as Record<string, unknown>)[key] };
  } catch {
    notSent.push(key);
    return undefined;
  }
}

function textOf(error: Error, key: "name" | "message" | "stack"): string {
  const { value } = read(error, key, []) ?? { value: "" };
  return typeof value === "string" ? value.slice(0, LONGEST_TEXT) : "";
}

function typeOf(error: Error): string {
  try {
    for (let at: unknown = error; at !== null; at = Object.getPrototypeOf(at)) {
      const name = typeNames.get(at);
      if (name !== undefined) return name;
    }
  } catch {
    // a proxy
  }
  return "Error";
}

function cancellationOf(error: CancelledError): NonNullable<ErrorRecord["cancelled"]> {
  const { source, reason, requestedBy } = error;
  return { source, reason: isSendable(reason) ? reason : render(reason), requestedBy };
}

// --- here

/** The error that a table stands for. A table that makes no sense gives an Error that says so. */
export function errorOf(table: unknown): unknown {
  try {
    const { thrown, records } = table as ErrorTable;
    const made = new Map<number, Error>();
    const unpacked = (cell: Cell | undefined): unknown => {
      if (cell === undefined) return undefined;
      if (!("error" in cell)) return cell.value;
      const known = made.get(cell.error);
      if (known !== undefined) return known;
      const record = records[cell.error];
      if (record === undefined || made.size >= MOST_ERRORS) return undefined;
      return make(record, cell.error);
    };
    const make = (record: ErrorRecord, place: number): Error => {
      const error = emptyError(record);
      made.set(place, error);
      for (const [key, cell] of record.own.slice(0, MOST_PROPERTIES))
        if (key !== "__proto__") define(error, String(key), unpacked(cell), true);
      if (record.members !== undefined)
        define(error, "errors", record.members.slice(0, MOST_ERRORS).map(unpacked), false);
      if (record.cause !== undefined) define(error, "cause", unpacked(record.cause), false);
      if (record.notSent.length > 0) define(error, "notSent", record.notSent.map(String), true);
      return error;
    };
    return unpacked(thrown);
  } catch (cause) {
    return new Error("the worker has sent an error that cannot be read", { cause });
  }
}

function emptyError(record: ErrorRecord): Error {
  const { type, name, message, stack, cancelled } = record;
  const prototype = prototypes.get(type) ?? Error.prototype;
  let error: Error;
  if (prototype === CancelledError.prototype) error = new CancelledError(cancelled);
  else if (prototype === ExceptionGroup.prototype) error = new ExceptionGroup("", []);
  else error = Object.setPrototypeOf(new Error(), prototype) as Error;
  define(error, "message", String(message), false);
  define(error, "stack", String(stack), false);
  if (error.name !== name && typeof name === "string" && name !== "")
    define(error, "name", name, false);
  return error;
}

function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true });
}

/** Adds the callers here to the stack of an error from there. */
export function addCallers(error: unknown, where: string, stackHere: string | undefined): void {
  if (!isA(error, Error)) return;
  try {
    const callers = (stackHere ?? "")
      .split("\n")
      .filter((line) => /^\s*at /.test(line) && !line.includes(ownFolder))
      .join("\n");
    const { stack = "" } = error;
    define(error, "stack", `${stack}\n    at ${where}, called from\n${callers}`.trimEnd(), false);
  } catch {
    // it is frozen
  }
}

const ownFolder = /^(?:file:\/\/)?(.*\/)[^/]*$/.exec(import.meta.url)?.[1] ?? "executors/";
