/** Options objects: whether all that is in one is known, and what to say where it is not. */

import { isThenable, render } from "./render.ts";

/** The names of the options `O`. A list that lacks one, or has one too many, does not compile. */
export type Names<O> = Readonly<Record<keyof O, 1>>;
export type AnyNames = Readonly<Record<string, 1>>;

/**
 * What is wrong with `options`, in words that follow the name of the call; undefined if nothing is.
 * Looks at names and not at values, so no code of the program runs.
 */
export function complaintAbout(
  options: unknown,
  names: AnyNames,
  cure?: string,
): string | undefined {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    let isKnown = false;
    for (const name in options) {
      if (names[name] === 1) isKnown = true;
      else if (Object.hasOwn(options, name)) return unknownOption(name, Object.keys(names));
    }
    // An AbortSignal, a Map or a promise is not plain, and has no options.
    isKnown ||= isPlain(options) || Object.keys(names).some((name) => name in options);
    if (isKnown) return undefined;
  }
  const advice = cure ?? adviceFor(options, names);
  return `expects an object of options, got ${render(options)}${advice === undefined ? "" : `. ${advice}`}`;
}

/** Whether it was written as `{ ... }`, in any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
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

function unknownOption(name: string, known: readonly string[]): string {
  const distance = (one: string): number => distanceOf(flat(name), flat(one));
  const [nearest = ""] = [...known].sort((a, b) => distance(a) - distance(b));
  const isNear = distance(nearest) <= Math.max(name.length, nearest.length) / 3;
  const all = known.map((one) => `\`${one}\``).join(", ");
  const advice = isNear
    ? `Did you mean \`${nearest}\`?`
    : `It has ${all.replace(/, (?=[^,]*$)/, " and ")}`;
  return `has no option \`${name}\`. ${advice}`;
}

// `return_exceptions` and `returnExceptions` are the same.
function flat(name: string): string {
  return name.replaceAll(/[_-]/g, "").toLowerCase();
}

/** How many letters differ between what begins and what ends alike; a swapped pair is one. */
function distanceOf(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start++;
  let end = 0;
  while (end < most - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const isSwapped = left.length === 2 && left === right.slice(1) + right[0];
  return isSwapped ? 1 : Math.max(left.length, right.length);
}
