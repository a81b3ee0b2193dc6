/**
 * Options as tables: what each has to be, and its default. The one table of a part says which names
 * there are, refuses what is wrong in the words that all parts have, and fills in what was left
 * out.
 */

import {
  argumentError,
  checkCoroutine,
  checkCount,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { AnyNames, Names } from "../errors/options.ts";

/** What an option has to be. `needed`: undefined is looked at as well. */
export interface Rule {
  readonly check: (api: string, what: string, value: unknown) => void;
  readonly isNeeded?: true;
}

/**
 * A rule for each of the options `O`, some with a default: what `checkOptions` looks at, or a rule
 * of its own. A missing one does not compile.
 */
type Rules<O> = { readonly [K in keyof O]-?: OneOrBoth<RuleOf<Names<O>[K]>, O[K]> };
type RuleOf<K> = K extends 1 ? Rule : K;
type OneOrBoth<R, V> = R | readonly [rule: R, byDefault: Exclude<V, undefined>];

/** The options with their defaults: those that have one are always there. */
type Settled<O, R> = Omit<O, keyof R> & {
  readonly [K in keyof O & keyof R]: R[K] extends Rule | string ? O[K] : Exclude<O[K], undefined>;
};

/** @throws TypeError or RangeError in the name of `api`. */
export function settle<O extends object, const R extends Rules<O>>(
  api: string,
  given: O | undefined,
  rules: R,
): Settled<O, R> {
  const { names, entries, defaults } = tables.get(rules) ?? compile(rules);
  if (given === undefined && defaults !== undefined) return defaults as Settled<O, R>; // name by name
  checkOptions(api, given, names);
  const settled: Record<string, unknown> = {};
  for (const [name, rule, byDefault] of entries) {
    const value = (given as Readonly<Record<string, unknown>> | undefined)?.[name];
    const isLookedAt = typeof rule !== "string" && (value !== undefined || rule.isNeeded);
    if (isLookedAt) rule.check(api, `\`${name}\``, value);
    settled[name] = value === undefined ? byDefault : value;
  }
  return settled as Settled<O, R>; // as above
}

interface Table {
  readonly names: AnyNames;
  readonly entries: readonly (readonly [name: string, rule: Rule | string, byDefault: unknown])[];
  /** What is settled where nothing was given; undefined if something is needed. */
  readonly defaults: object | undefined;
}

const tables: WeakMap<object, Table> = new WeakMap();

function compile(rules: object): Table {
  const entries = Object.entries(rules).map(([name, entry]) => {
    const [rule, byDefault] = Array.isArray(entry) ? entry : [entry];
    return [name, rule as Rule | Exclude<AnyNames[string], 1>, byDefault as unknown] as const;
  });
  const kinds = entries.map(([name, rule]) => [name, typeof rule === "string" ? rule : 1] as const);
  const names = Object.fromEntries(kinds);
  const isNeeded = entries.some(([, rule]) => typeof rule !== "string" && rule.isNeeded);
  const all = Object.fromEntries(entries.map(([name, , byDefault]) => [name, byDefault]));
  const table = { names, entries, defaults: isNeeded ? undefined : Object.freeze(all) };
  tables.set(rules, table);
  return table;
}

export const needed = ({ check }: Rule): Rule => ({ check, isNeeded: true });
export const anything: Rule = { check() {} };
/** A whole number from 1 on, or Infinity. */
export const count: Rule = { check: checkCount };
export const countOr0: Rule = { check: (api, what, value) => checkCount(api, what, value, 0) };
export const finiteCount: Rule = {
  check: (api, what, value) => checkCount(api, what, value, 1, Number.MAX_VALUE),
};
/** A finite number above 0. */
export const amount: Rule = { check: checkAmount };
export const seconds: Rule = {
  check: (api, what, value) => checkSeconds(api, `${what} in seconds`, value),
};
export const share: Rule = { check: checkShare };
export const callback: Rule = {
  check: (api, what, value) => checkFunction(api, `${what} as a function`, value),
};
export const work: Rule = { check: (api, _what, value) => checkCoroutine(api, value) };

/** One of a few words. */
export function oneOf(...words: readonly string[]): Rule {
  const quoted = words.map((word) => JSON.stringify(word));
  const list = `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  return {
    check(api, what, value) {
      if (!words.includes(value as string))
        throw argumentError(api, `${what} to be ${list}`, value);
    },
  };
}

/** An instance of a class, which is called `words`. */
export function instanceOf(
  get: () => abstract new (...args: never[]) => object,
  words: string,
): Rule {
  return {
    check(api, what, value) {
      if (!(value instanceof get())) throw argumentError(api, `${what} to be ${words}`, value);
    },
  };
}

export function checkFunction(api: string, expected: string, value: unknown): void {
  if (typeof value !== "function") throw argumentError(api, expected, value);
}

/** Throws unless `value` is a number above 0, and no Infinity. */
export function checkAmount(api: string, what: string, value: unknown): void {
  const expected = `${what}, a number above 0`;
  if (typeof value !== "number") throw argumentError(api, expected, value);
  if (!(value > 0 && value < 1 / 0)) throw rangeError(api, expected, value);
}

export function checkShare(api: string, what: string, value: unknown): void {
  const expected = `${what} as a share from 0 to 1`;
  checkSeconds(api, expected, value);
  if (value < 0 || value > 1) throw rangeError(api, expected, value);
}
