/**
 * What is to be taken out of a page, by CSS selectors. The form is the one that ScrapingBee's users
 * know, and only what it says is read:
 *
 *     { "title": "h1",
 *       "image": "img@src",
 *       "links": { "selector": "a", "type": "list", "output": "@href" },
 *       "offers": { "selector": ".offer", "type": "list", "output": { "price": ".price" } } }
 */

import { compile } from "css-select";
import { PageError } from "../contract/errors.ts";

/** How one value is found. The rules of a page are these by name. */
export interface ExtractRule {
  readonly selector: string;
  /** `list`: every match, in order. `item`: the first one, or null. */
  readonly type: "item" | "list";
  /** `text`, `html`, the value of an attribute as "@name", a table, or further rules within. */
  readonly output: string | ExtractRules;
}

export type ExtractRules = Readonly<Record<string, ExtractRule>>;

/** What comes out. */
export type Extracted =
  | string
  | null
  | readonly Extracted[]
  | { readonly [name: string]: Extracted };

const MAX_RULES = 200;
const MAX_DEPTH = 5;
const MAX_SELECTOR = 500;
/** What a selector takes to compile grows with the square of this. */
const MAX_PARENTHESES = 10;
const ruleKeys = new Set(["selector", "type", "output"]);
const outputs = new Set(["text", "html", "table_json", "table_array"]);

/**
 * Reads rules from parsed JSON. Each selector is compiled once, so that one which is none is refused
 * before a page is fetched for it. Throws a PageError `bad_request` that names the rule.
 */
export function readExtractRules(json: unknown): ExtractRules {
  const count = { left: MAX_RULES };
  return readRules(json, "extract", 1, count);
}

function readRules(
  json: unknown,
  at: string,
  depth: number,
  count: { left: number },
): ExtractRules {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw refused(`${at}: expected an object of rules by name`);
  }
  if (depth > MAX_DEPTH) throw refused(`${at}: rules are at most ${MAX_DEPTH} deep`);
  const rules: Record<string, ExtractRule> = Object.create(null);
  for (const [name, value] of Object.entries(json)) {
    if (count.left-- === 0) throw refused(`there are more than ${MAX_RULES} rules`);
    rules[name] = readRule(value, `${at}.${name.slice(0, 64)}`, depth, count);
  }
  if (Object.keys(rules).length === 0) throw refused(`${at}: there is no rule`);
  return rules;
}

function readRule(value: unknown, at: string, depth: number, count: { left: number }): ExtractRule {
  if (typeof value === "string") {
    const [, selector = value, attribute] = /^(.*?)(@[\w:-]+)?$/s.exec(value) ?? [];
    const output = attribute ?? "text";
    return { selector: checkSelector(selector.trim(), at), type: "item", output };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refused(`${at}: expected a selector, or an object with one`);
  }
  const unknown = Object.keys(value).find((key) => !ruleKeys.has(key));
  if (unknown !== undefined) {
    throw refused(
      `${at}: unknown key "${unknown.slice(0, 64)}"; there are ${[...ruleKeys].join(", ")}`,
    );
  }
  const { selector, type = "item", output = "text" } = value as Partial<Record<string, unknown>>;
  if (typeof selector !== "string") throw refused(`${at}: "selector" is missing`);
  if (type !== "item" && type !== "list") throw refused(`${at}: "type" is "item" or "list"`);
  if (typeof output !== "string") {
    const inner = readRules(output, `${at}.output`, depth + 1, count);
    return { selector: checkSelector(selector, at), type, output: inner };
  }
  if (!outputs.has(output) && !/^@[\w:-]+$/.test(output)) {
    throw refused(`${at}: "output" is ${[...outputs].join(", ")}, "@attribute" or further rules`);
  }
  return { selector: checkSelector(selector, at), type, output };
}

function checkSelector(selector: string, at: string): string {
  if (/^\.?\//.test(selector)) throw refused(`${at}: selectors are CSS; XPath is not supported`);
  if (selector === "" || selector.length > MAX_SELECTOR) {
    throw refused(`${at}: a selector has 1 to ${MAX_SELECTOR} characters`);
  }
  if (parenthesesOf(selector) > MAX_PARENTHESES) {
    throw refused(`${at}: parentheses in a selector are at most ${MAX_PARENTHESES} deep`);
  }
  try {
    compile(selector);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw refused(`${at}: expected a CSS selector, got ${JSON.stringify(selector)}: ${reason}`);
  }
  return selector;
}

/** How deep they are nested, those in strings included. */
function parenthesesOf(selector: string): number {
  let open = 0;
  let deepest = 0;
  for (const character of selector) {
    if (character === "(") deepest = Math.max(deepest, ++open);
    else if (character === ")") open--;
  }
  return deepest;
}

function refused(message: string): PageError {
  return new PageError("bad_request", message, { parameter: "extract" });
}
