/** What to do about options that are none: sentences that end a message. */

import { isThenable, render } from "./render.ts";

/** What ends a message: a sentence, or nothing. */
export type Advice = "" | `. ${string}`;

/** Options that are often given without the object around them, by their type. */
const BARE: Readonly<Record<string, readonly string[]>> = {
  string: ["name", "encoding"],
  number: ["port", "limit", "delay", "drain", "seed"],
  boolean: ["immediate", "returnExceptions"],
  signal: ["signal"],
};

/** For what was given instead of an object of options. */
export function adviceFor(found: unknown, names: object): Advice {
  const isSignal = typeof found === "object" && found !== null && "throwIfAborted" in found;
  const kind = isSignal ? "signal" : typeof found;
  const name = BARE[kind]?.find((candidate) => candidate in names);
  if (name !== undefined) return `. Write \`{ ${name}${isSignal ? "" : `: ${render(found)}`} }\``;
  if (isThenable(found)) return ". Await it first";
  return found === null ? ". Leave it out, or pass undefined" : "";
}
/** For an option that is not among the `known` ones. */
export function adviceOnName(name: string, known: readonly string[]): Advice {
  const distance = (one: string): number => distanceOf(flat(name), flat(one));
  const [nearest = ""] = [...known].sort((a, b) => distance(a) - distance(b));
  const isNear = distance(nearest) <= Math.max(name.length, nearest.length) / 3;
  if (isNear) return `. Did you mean \`${nearest}\`?`;
  const all = known.map((one) => `\`${one}\``).join(", ");
  return `. It has ${all.replace(/, (?=[^,]*$)/, " and ")}`;
}
// `return_exceptions` and `returnExceptions` are the same.
const flat = (name: string): string => name.replaceAll(/[_-]/g, "").toLowerCase();
/** How many letters differ between what begins and what ends alike; a swapped pair is one. */
function distanceOf(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let [start, end] = [0, 0];
  while (start < most && a[start] === b[start]) start++;
  while (end < most - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const isSwapped = left.length === 2 && left === right.slice(1) + right[0];
  return isSwapped ? 1 : Math.max(left.length, right.length);
}
