/** What a request works with: the rooms by their shapes, and what the Fetcher keeps. */

import type { HeldBytes } from "../contract/held.ts";
import type {
  Classifier,
  Identities,
  Politeness,
  Proxies,
  Robots,
  Sessions,
  Solver,
} from "../contract/parts.ts";
import type { Egress } from "../egress/egress.ts";
import type { RetryBudgets } from "../retry/policy.ts";
import { isTable } from "./check.ts";
import type { Collapsed } from "./collapsed.ts";
import type { IdleLines } from "./idle-lines.ts";
import type { PageCache } from "./page-cache.ts";

/** What is called of each part. */
const calls = {
  egress: ["resolve", "dial"],
  politeness: ["enter"],
  proxies: ["route"],
  sessions: ["open"],
  identities: ["get"],
  classifier: ["judge", "wants"],
  solver: ["solve"],
  cache: ["find", "put"],
  held: ["open"],
} as const;

/** @throws TypeError for a part that is none, and for options that make no sense. */
export function checkParts(given: unknown): void {
  if (!isTable(given)) throw new TypeError("a Fetcher expects an object of options");
  const options = given as Readonly<Record<string, unknown>>; // any value
  for (const [name, methods] of Object.entries(calls)) {
    const part = options[name] as Readonly<Record<string, unknown>> | null | undefined; // any value
    if (part === undefined) continue;
    const missing = methods.find((method) => typeof part?.[method] !== "function");
    if (missing !== undefined)
      throw new TypeError(`a Fetcher expects \`${name}\` to have a method \`${missing}\``);
  }
  for (const name of ["robots", "random"])
    if (options[name] !== undefined && typeof options[name] !== "function")
      throw new TypeError(`a Fetcher expects \`${name}\` to be a function`);
  for (const name of ["idleTime", "mostIdle"]) {
    const given = options[name];
    if (given !== undefined && !(typeof given === "number" && given >= 0))
      throw new TypeError(`a Fetcher expects \`${name}\` to be a number, 0 or more`);
  }
}

export interface Parts {
  readonly egress: Egress;
  readonly politeness: Politeness;
  readonly proxies: Proxies;
  readonly sessions: Sessions;
  readonly identities: Identities;
  readonly classifier: Classifier;
  /** Undefined: a CAPTCHA is told and no more. */
  readonly solver: Solver | undefined;
  /** Undefined: robots.txt is not asked for. */
  readonly robots: Robots | undefined;
  readonly idle: IdleLines;
  readonly cache: PageCache;
  readonly collapsed: Collapsed;
  /** Counts the bytes of bodies. */
  readonly held: HeldBytes;
  readonly budgets: RetryBudgets;
  readonly random: () => number;
}
