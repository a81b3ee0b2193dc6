/**
 * Tells a page from what comes in its place: a captcha, a challenge, a block. The verdict carries
 * its evidence. It is a report: nothing here solves, answers or avoids anything.
 *
 * Each rule that holds is a piece of evidence with a weight. Pieces for the same kind and vendor
 * add up as independent witnesses do: two that are each sure to 0.6 are sure to 0.84 together.
 * The kind with the highest sum is the verdict, if it reaches `threshold`. Of kinds that are all
 * certain the first of `verdictKinds` is taken: a captcha on the page of a refusal is a captcha.
 */

import { type Answer, featuresOf } from "./features.ts";
import builtIn from "./rules.json" with { type: "json" };
import { type Rule, type RuleSet, readRules, type VerdictKind, verdictKinds } from "./rules.ts";
import { testsOf } from "./tests.ts";

export interface Verdict {
  readonly kind: VerdictKind;
  /** Who made the page that came instead, as far as the page shows it. */
  readonly vendor: string | undefined;
  /** From `threshold` to 0.999. */
  readonly confidence: number;
  /** Ids of the rules that held for this kind and vendor, the weightiest first. */
  readonly evidence: readonly string[];
  /** Version of the rules. */
  readonly rules: string;
}

/** The rules that come with this version. */
export const builtInRules: RuleSet = readRules(builtIn);

/** Below this confidence there is no verdict. */
export const threshold = 0.5;

/** From this confidence on, a higher one tells nothing more. */
const certain = 0.9;

/**
 * What `answer` is, or undefined if it looks like the page that was asked for. Time is bounded by
 * a constant: at most 512 Ki characters are read, of an ordinary page only its beginning, and each
 * rule looks at bounded texts.
 */
export function classify(answer: Answer, rules: RuleSet = builtInRules): Verdict | undefined {
  const features = featuresOf(answer);
  const cases = new Map<string, Case>();
  for (const [rule, holds] of testsOf(rules)) {
    if (!holds(features)) continue;
    const key = `${rule.kind} ${rule.vendor ?? ""}`;
    let known = cases.get(key);
    if (known === undefined) {
      known = { kind: rule.kind, vendor: rule.vendor, doubt: 1, found: [] };
      cases.set(key, known);
    }
    known.doubt *= 1 - rule.weight;
    known.found.push(rule);
  }
  const best = [...cases.values()].map((one) => withoutVendor(one, cases)).sort(byConfidence)[0];
  if (best === undefined || 1 - best.doubt < threshold) return undefined;
  return {
    kind: best.kind,
    vendor: best.vendor,
    confidence: Math.min(0.999, Math.round((1 - best.doubt) * 1000) / 1000),
    evidence: best.found.sort((a, b) => b.weight - a.weight).map((rule) => rule.id),
    rules: rules.version,
  };
}

interface Case {
  readonly kind: VerdictKind;
  readonly vendor: string | undefined;
  /** The probability that all witnesses are wrong. */
  doubt: number;
  readonly found: Rule[];
}

/** Witnesses that name no vendor, such as the status, speak for each vendor of their kind. */
function withoutVendor(one: Case, cases: ReadonlyMap<string, Case>): Case {
  const general = one.vendor === undefined ? undefined : cases.get(`${one.kind} `);
  if (general === undefined) return one;
  return {
    ...one,
    doubt: one.doubt * general.doubt,
    found: [...one.found, ...general.found],
  };
}

function byConfidence(a: Case, b: Case): number {
  const areCertain = 1 - a.doubt >= certain && 1 - b.doubt >= certain;
  if (!areCertain && a.doubt !== b.doubt) return a.doubt - b.doubt;
  return verdictKinds.indexOf(a.kind) - verdictKinds.indexOf(b.kind);
}
