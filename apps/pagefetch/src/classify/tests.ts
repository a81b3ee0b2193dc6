/**
 * Rules as functions. They are made once for a set of rules, and each looks at what costs least
 * first, so of a page that is one most rules end at its status or at the length of its text.
 */

import type { Features } from "./features.ts";
import type { Condition, Rule, RuleSet } from "./rules.ts";

type Test = (of: Features) => boolean;

type Makers = {
  readonly [K in Exclude<keyof Condition, "has">]-?: (
    wanted: NonNullable<Condition[K]>,
    condition: Condition,
  ) => Test;
};

/** In this order: what costs nothing first, the longest texts last. */
const makers: Makers = {
  status: (wanted) => (of) => wanted.includes(of.status),
  html: (wanted) => (of) => of.isHtml === wanted,
  textBelow: (wanted) => (of) => of.page.textLength < wanted,
  linksBelow: (wanted) => (of) => of.page.linkCount < wanted,
  scriptsFrom: (wanted) => (of) => of.page.scriptCount >= wanted,
  passwordField: (wanted) => (of) => of.page.hasPasswordField === wanted,
  header:
    (name, { has = "" }) =>
    (of) =>
      of.headers.get(name)?.includes(has) === true,
  cookie: (start) => (of) => of.cookies.some((name) => name.startsWith(start)),
  url: (word) => (of) => of.url.includes(word),
  redirectedTo: (word) => (of) => of.url.includes(word) && !of.requestedUrl.includes(word),
  title: (word) => (of) => of.page.title.includes(word),
  text: (word) => (of) => of.page.text.includes(word),
  address: (word) => (of) => of.page.addresses.includes(word),
  mark: (word) => (of) => of.page.marks.includes(word),
  script: (word) => (of) => of.page.scripts.includes(word),
};
const order = Object.keys(makers) as (keyof Makers)[]; // they are all of them

/** True if all conditions hold. */
function all(conditions: readonly Condition[]): Test {
  const tests = order.flatMap((key) =>
    conditions.flatMap((condition) => {
      const wanted = condition[key];
      const make = makers[key] as (wanted: unknown, condition: Condition) => Test; // of this key
      return wanted === undefined ? [] : [make(wanted, condition)];
    }),
  );
  return (of) => tests.every((test) => test(of));
}

function testOf({ when, any = [] }: Rule): Test {
  const must = all(when);
  const may = any.map((condition) => all([condition]));
  return (of) => must(of) && (may.length === 0 || may.some((test) => test(of)));
}

const made = new WeakMap<RuleSet, readonly (readonly [Rule, Test])[]>();

/** Each rule of `rules`, and whether it holds. */
export function testsOf(rules: RuleSet): readonly (readonly [Rule, Test])[] {
  let tests = made.get(rules);
  if (tests === undefined) {
    tests = rules.rules.map((rule) => [rule, testOf(rule)] as const);
    made.set(rules, tests);
  }
  return tests;
}
