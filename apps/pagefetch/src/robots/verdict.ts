/**
 * May we fetch this URL? RFC 9309, 2.2.1 and 2.2.2: the groups of our product token count, all of
 * them together; without one, those of `*`. The longest pattern that fits decides, and of two of
 * the same length the one that allows. What nothing forbids is allowed, and so is `/robots.txt`.
 */

import type { RobotsFile, Rule } from "./parse.ts";
import { fits, pathOf, type Steps } from "./pattern.ts";

export interface Verdict {
  readonly allowed: boolean;
  /** The line that decided; undefined if none fits, or if it is not the file that forbids. */
  readonly rule?: { readonly line: number; readonly text: string };
  /** Why, if no line says so. */
  readonly because?: "too costly";
}

/** The rules of one product token in one file. */
export interface Rules {
  /** Longest pattern first; of the same length, those that allow first. */
  readonly rules: readonly Rule[];
  /** Seconds between two requests: the largest that its groups ask for. */
  readonly crawlDelay: number | undefined;
}

/** Characters that one question may read. A legal file of 500 KiB stays far below it. */
const MAX_STEPS = 5_000_000;

/** What `file` says to the crawler named `token`, a product token such as `pagefetch`. */
export function rulesFor(file: RobotsFile, token: string): Rules {
  const name = token.toLowerCase();
  if (!/^[a-z_-]+$/.test(name)) {
    throw new RangeError(
      `a product token has letters, "-" and "_" only, got ${JSON.stringify(token)}`,
    );
  }
  const own = file.groups.filter(({ agents }) => agents.has(name));
  const groups = own.length > 0 ? own : file.groups.filter(({ agents }) => agents.has("*"));
  const rules = groups.flatMap((group) => group.rules);
  rules.sort((a, b) => b.pattern.length - a.pattern.length || Number(b.allows) - Number(a.allows));
  const delays = groups.flatMap(({ crawlDelay }) => (crawlDelay === undefined ? [] : [crawlDelay]));
  return { rules, crawlDelay: delays.length === 0 ? undefined : Math.max(...delays) };
}

/**
 * Whether `url` may be fetched under `rules`. If the file is made so that an answer would take
 * long, the answer is no: `because` says so.
 */
export function verdict(rules: Rules, url: URL): Verdict {
  const path = pathOf(url);
  if (path === "/robots.txt") return { allowed: true };
  const steps: Steps = { left: MAX_STEPS };
  for (const rule of rules.rules) {
    if (fits(rule.pattern, path, steps)) {
      return { allowed: rule.allows, rule: { line: rule.line, text: rule.text } };
    }
    if (steps.left < 0) return { allowed: false, because: "too costly" };
  }
  return { allowed: true };
}
