/** Options objects: whether all that is in one is known, and what to say where it is not. */

import { type Advice, adviceFor, adviceOnName } from "./advice.ts";
import { render } from "./render.ts";

/** The names of the options `O`. A list that lacks one, or has one too many, does not compile. */
export type Names<O> = Readonly<Record<keyof O, 1>>;
export type AnyNames = Readonly<Record<string, 1>>;

/**
 * What is wrong with `options`, in words that follow the name of the call; "" if nothing is.
 * Looks at names and not at values, so no code of the program runs.
 */
export function complaintAbout(options: unknown, names: AnyNames, cure?: Advice): string {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    let isKnown = false;
    for (const name in options) {
      if (names[name] === 1) isKnown = true;
      else if (Object.hasOwn(options, name))
        return `has no option \`${name}\`${adviceOnName(name, Object.keys(names))}`;
    }
    // An AbortSignal, a Map or a promise is not plain, and has no options.
    isKnown ||= isPlain(options) || Object.keys(names).some((name) => name in options);
    if (isKnown) return "";
  }
  return `expects an object of options, got ${render(options)}${cure ?? adviceFor(options, names)}`;
}

/** Whether it was written as `{ ... }`, in any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
