/**
 * The form of the rules, and how a file of them is read. Rules are data: an operator may bring
 * their own file, and a running service may take a new one.
 */

import { ENOUGH } from "./features.ts";

/** What an answer is, other than the page that was asked for. */
export const verdictKinds = [
  "captcha",
  "challenge",
  "block",
  "rate_limit",
  "login_wall",
  "soft_404",
  "empty_shell",
] as const;

/**
 * - `captcha`: a task for a human.
 * - `challenge`: a script that a browser has to run first, with nothing to do for a human.
 * - `block`: a refusal.
 * - `rate_limit`: a refusal for now.
 * - `login_wall`: the page wants an account.
 * - `soft_404`: "not found", told with a status that says success.
 * - `empty_shell`: a page that scripts are to fill.
 */
export type VerdictKind = (typeof verdictKinds)[number];

/**
 * One thing that has to be true of an answer. Words are looked for as they stand, in lower case;
 * there are no patterns, so the time is bounded by the lengths.
 */
export interface Condition {
  /** The status is one of these. */
  readonly status?: readonly number[];
  /** A header of this name is there. With `has`, it contains that word. */
  readonly header?: string;
  readonly has?: string;
  /** A cookie whose name begins so is set. */
  readonly cookie?: string;
  /** The final address contains this. */
  readonly url?: string;
  /** The final address contains this and the requested one does not. */
  readonly redirectedTo?: string;
  readonly title?: string;
  /** Seen by a reader. */
  readonly text?: string;
  /** In the address or the body of a script. */
  readonly script?: string;
  /** In the address of a frame, a form, an image or a refresh. */
  readonly address?: string;
  /** In an `id`, a `class` or a `name`. */
  readonly mark?: string;
  readonly passwordField?: boolean;
  readonly html?: boolean;
  /** A reader sees fewer characters than this, which is `ENOUGH` at most. */
  readonly textBelow?: number;
  /** Links, and scripts, are counted in what is read of the page: see `PageFeatures`. */
  readonly linksBelow?: number;
  readonly scriptsFrom?: number;
}

/** All conditions of `when` have to hold, and one of `any`, if there are some. */
export interface Rule {
  readonly id: string;
  readonly kind: VerdictKind;
  readonly vendor?: string;
  /** How sure this rule alone makes us, above 0 and at most 0.99. */
  readonly weight: number;
  readonly when: readonly Condition[];
  readonly any?: readonly Condition[];
}

export interface RuleSet {
  /** Named in each verdict's report, so that a result can be traced to the rules that made it. */
  readonly version: string;
  readonly rules: readonly Rule[];
}

/** A file of rules that cannot be used. The message names the rule and what is wrong with it. */
export class RuleError extends TypeError {
  override readonly name = "RuleError";
  readonly code = "bad_rules";
}

const words = [
  "header",
  "has",
  "cookie",
  "url",
  "redirectedTo",
  "title",
  "text",
  "script",
  "address",
  "mark",
] as const;
const numbers = ["textBelow", "linksBelow", "scriptsFrom"] as const;
const flags = ["passwordField", "html"] as const;
const conditionKeys = new Set<string>(["status", ...words, ...numbers, ...flags]);
const ruleKeys = new Set(["id", "kind", "vendor", "weight", "when", "any"]);
const MAX_RULES = 2000;
const MAX_WORD = 200;

/** Reads rules from parsed JSON. Throws a RuleError for anything that is not exactly a rule set. */
export function readRules(json: unknown): RuleSet {
  if (!isRecord(json) || typeof json.version !== "string" || !Array.isArray(json.rules)) {
    throw new RuleError('expected { "version": string, "rules": [...] }');
  }
  if (json.rules.length > MAX_RULES) {
    throw new RuleError(`expected at most ${MAX_RULES} rules, got ${json.rules.length}`);
  }
  const ids = new Set<string>();
  const rules = json.rules.map((value: unknown, index) => {
    const rule = readRule(value, `rule ${index}`);
    if (ids.has(rule.id)) throw new RuleError(`two rules have the id "${rule.id}"`);
    ids.add(rule.id);
    return rule;
  });
  return { version: json.version, rules };
}

function readRule(value: unknown, place: string): Rule {
  if (!isRecord(value)) throw new RuleError(`${place}: expected an object`);
  const id = value.id;
  if (typeof id !== "string" || id === "") throw new RuleError(`${place}: "id" is missing`);
  const at = `rule "${id}"`;
  for (const key of Object.keys(value)) {
    if (!ruleKeys.has(key)) throw new RuleError(`${at}: unknown key "${key}"`);
  }
  const { kind, vendor, weight } = value;
  if (!isKind(kind)) {
    throw new RuleError(`${at}: "kind" must be one of ${verdictKinds.join(", ")}`);
  }
  if (vendor !== undefined && typeof vendor !== "string") {
    throw new RuleError(`${at}: "vendor" must be a string`);
  }
  if (typeof weight !== "number" || !(weight > 0 && weight <= 0.99)) {
    throw new RuleError(`${at}: "weight" must be a number above 0 and at most 0.99`);
  }
  const when = readConditions(value.when ?? [], `${at}, "when"`);
  const any = readConditions(value.any ?? [], `${at}, "any"`);
  if (when.length + any.length === 0) throw new RuleError(`${at}: no condition`);
  return { id, kind, weight, when, any, ...(vendor === undefined ? {} : { vendor }) };
}

function readConditions(value: unknown, at: string): Condition[] {
  if (!Array.isArray(value)) throw new RuleError(`${at}: expected a list of conditions`);
  return value.map((condition: unknown) => readCondition(condition, at));
}

function readCondition(value: unknown, at: string): Condition {
  if (!isRecord(value) || Object.keys(value).length === 0) {
    throw new RuleError(`${at}: a condition must be an object with one key at least`);
  }
  for (const key of Object.keys(value)) {
    if (!conditionKeys.has(key)) throw new RuleError(`${at}: unknown condition "${key}"`);
  }
  for (const key of words) {
    const word = value[key];
    if (word === undefined) continue;
    if (typeof word !== "string" || word === "" || word.length > MAX_WORD) {
      throw new RuleError(`${at}: "${key}" must be a string of 1 to ${MAX_WORD} characters`);
    }
    if (word !== word.toLowerCase()) {
      throw new RuleError(`${at}: "${key}" must be in lower case, as everything it is compared to`);
    }
  }
  if (value.has !== undefined && value.header === undefined) {
    throw new RuleError(`${at}: "has" needs a "header"`);
  }
  for (const key of numbers) {
    if (value[key] !== undefined && !isCount(value[key])) {
      throw new RuleError(`${at}: "${key}" must be a whole number`);
    }
  }
  if (isCount(value.textBelow) && value.textBelow > ENOUGH) {
    throw new RuleError(`${at}: "textBelow" is ${ENOUGH} at most, as no more of a page is read`);
  }
  for (const key of flags) {
    if (value[key] !== undefined && typeof value[key] !== "boolean") {
      throw new RuleError(`${at}: "${key}" must be true or false`);
    }
  }
  const status = value.status;
  if (status !== undefined && !(Array.isArray(status) && status.every(isCount))) {
    throw new RuleError(`${at}: "status" must be a list of numbers`);
  }
  return value as Condition;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isKind(value: unknown): value is VerdictKind {
  return verdictKinds.some((kind) => kind === value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}
