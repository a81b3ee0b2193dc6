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
import type { Collapsed } from "./collapsed.ts";
import type { IdleLines } from "./idle-lines.ts";
import type { PageCache } from "./page-cache.ts";

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
