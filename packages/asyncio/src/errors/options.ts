/** Options objects: whether all that is in one is known, and what to say where it is not. */

import { isThenable, render } from "./render.ts";

/** The names of the options `O`. A list that lacks one, or has one too many, does not compile. */
export type Names<O> = Readonly<Record<keyof O, 1>>;
export type AnyNames = Readonly<Record<string, 1>>;

/**
 * What is wrong with `options`, as a message; undefined if nothing is. Looks at names and not at
 * values, so no code of the program runs. `cure` is for what is no object at all.
 */
export function complaintAbout(
  api: string,
  options: unknown,
  names: AnyNames,
  cure?: string,
): string | undefined {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    return wrongShape(api, options, names, cure);
  let isEmpty = true;
  for (const name in options) {
    if (names[name] === 1) isEmpty = false;
    else if (Object.hasOwn(options, name)) return unknownOption(api, name, names);
  }
  // An AbortSignal, a Map or a promise has no names of its own.
  if (!isEmpty || isPlain(options) || Object.keys(names).some((name) => name in options))
    return undefined;
  return wrongShape(api, options, names, cure);
}

/** Whether it was written as `{ ... }`, in any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null;
}

function wrongShape(api: string, found: unknown, names: AnyNames, cure?: string): string {
  const advice = cure ?? adviceFor(found, names);
  return `${api} expects an object of options, got ${render(found)}${advice === undefined ? "" : `. ${advice}`}`;
}

/** Options that are often given without the object around them, by their type. */
const BARE: Readonly<Record<string, readonly string[]>> = {
  string: ["name", "encoding"],
  number: ["port", "limit", "delay", "drain", "seed"],
  boolean: ["immediate", "returnExceptions"],
  signal: ["signal"],
};

function adviceFor(found: unknown, names: AnyNames): string | undefined {
  const isSignal = typeof found === "object" && found !== null && "throwIfAborted" in found;
  const kind = isSignal ? "signal" : typeof found;
  const name = BARE[kind]?.find((candidate) => names[candidate] === 1);
  if (name !== undefined) return `Write \`{ ${name}${isSignal ? "" : `: ${render(found)}`} }\``;
  if (isThenable(found)) return "Await it first";
  return found === null ? "Leave it out, or pass undefined" : undefined;
}

function unknownOption(api: string, name: string, names: AnyNames): string {
  const known = Object.keys(names);
  const nearest = nearestTo(name, known);
  const list = known.map((one) => `\`${one}\``);
  const all =
    list.length === 1 ? list.join() : `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
  const advice = nearest === undefined ? `It has ${all}` : `Did you mean \`${nearest}\`?`;
  return `${api} has no option \`${name}\`. ${advice}`;
}

/** The one of `known` that is most like `name`, if two letters of three are right. */
function nearestTo(name: string, known: readonly string[]): string | undefined {
  const wanted = flat(name);
  const [nearest] = known
    .map((known) => ({ known, distance: distanceOf(wanted, flat(known)) }))
    .filter((one) => one.distance <= Math.max(wanted.length, flat(one.known).length) / 3)
    .sort((a, b) => a.distance - b.distance);
  return nearest?.known;
}

// `return_exceptions` and `returnExceptions` are the same.
function flat(name: string): string {
  return name.slice(0, 40).replaceAll(/[_-]/g, "").toLowerCase();
}
/** How many letters have to be put in, taken out, replaced, or swapped with the next one. */
function distanceOf(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const [left = 0, diagonal = 0, up = 0] = [row[j - 1], above[j - 1], above[j]];
      row[j] = Math.min(left + 1, up + 1, diagonal + (isSame ? 0 : 1));
      if (isSwapped) row[j] = Math.min(row[j] as number, (before[j - 2] ?? 0) + 1);
    }
    before = above;
  }
  return row[b.length] as number;
}
