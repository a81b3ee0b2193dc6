/** Options objects: whether all that is in one is known, and of its kind. */

import { Context } from "../structures/context-values.ts";
import { type Advice, adviceFor, adviceOnName } from "./advice.ts";
import { render } from "./render.ts";

type Kinds = { string: string; boolean: boolean; Context: Context; AbortSignal: AbortSignal };
type Fit<V, K> = [V, K] extends [K | undefined, V] ? true : false;
type KindOf<V> = { [K in keyof Kinds]: Fit<V, Kinds[K]> extends true ? K : never }[keyof Kinds];
/** The kinds of the options `O`; 1: the call looks at it. A list that differs does not compile. */
export type Names<O> = {
  readonly [K in keyof O]-?: [KindOf<O[K]>] extends [never] ? 1 : KindOf<O[K]>;
};
export type AnyNames = Readonly<Record<string, keyof Kinds | "EventLoop" | 1>>;
/** What is wrong with `options`, in words that follow the name of the call; "" if nothing is. */
export function complaintAbout(options: unknown, names: AnyNames, cure?: Advice): string {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    let isKnown = false;
    for (const name in options) {
      const kind: unknown = names[name]; // a function, if it is one of every object: `toString`
      const value = (options as Readonly<Record<string, unknown>>)[name];
      if (kind === 1 || isOf(kind, value)) isKnown = true;
      else if (typeof kind === "string")
        return `expects \`${name}\` of type ${kind}, got ${render(value)}${adviceFor(value, {})}`;
      else if (Object.hasOwn(options, name))
        return `has no option \`${name}\`${adviceOnName(name, Object.keys(names))}`;
    }
    // An AbortSignal, a Map or a promise is not plain, and has no options.
    isKnown ||= isPlain(options) || Object.keys(names).some((name) => name in options);
    if (isKnown) return "";
  }
  return `expects an object of options, got ${render(options)}${cure ?? adviceFor(options, names)}`;
}
// A signal may be of another realm, and a loop is of a row above this one.
function isOf(kind: unknown, got: unknown): boolean {
  if (got === undefined) return typeof kind === "string";
  if (kind === "Context") return got instanceof Context;
  if (kind === "AbortSignal") return "addEventListener" in Object(got);
  if (kind === "EventLoop") return "checkOpen" in Object(got);
  return typeof got === kind;
}
/** Whether it was written as `{ ... }`, in any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
