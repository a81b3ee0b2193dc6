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
  let isKnown = false;
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    for (const name in options) {
      if (names[name] === 1) isKnown = true;
      else if (Object.hasOwn(options, name)) return unknownOption(name, Object.keys(names));
    }
    // An AbortSignal, a Map or a promise has no names of its own.
    isKnown ||= isPlain(options) || Object.keys(names).some((name) => name in options);
  }
  if (isKnown) return undefined;
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
  const [nearest] = known
    .map((one) => ({ one, distance: distanceOf(flat(name), flat(one)) }))
    .filter(({ one, distance }) => distance <= Math.max(name.length, one.length) / 3)
    .sort((a, b) => a.distance - b.distance);
  const all = known.map((one) => `\`${one}\``).join(", ");
  const advice =
    nearest === undefined
      ? `It has ${all.replace(/, (?=[^,]*$)/, " and ")}`
      : `Did you mean \`${nearest.one}\`?`;
  return `has no option \`${name}\`. ${advice}`;
}

// `return_exceptions` and `returnExceptions` are the same.
function flat(name: string): string {
  return name.replaceAll(/[_-]/g, "").toLowerCase();
}

/** How many letters differ between what begins and what ends alike; a swapped pair is one. */
function distanceOf(a: string, b: string): number {
  const [, , left = "", , right = ""] = /^(.*)(.*?)(.*)\n\1(.*?)\3$/.exec(`${a}\n${b}`) ?? [];
  const isSwapped = left.length === 2 && left === right.slice(1) + right[0];
  return isSwapped ? 1 : Math.max(left.length, right.length);
}
