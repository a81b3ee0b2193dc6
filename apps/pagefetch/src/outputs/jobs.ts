/** What is called in a worker: it says that it has begun, since its time is counted from there. */

import type { Extracted, ExtractRules } from "./rules.ts";
import { extract, type Link, toLinks, toMarkdown, toText } from "./work.ts";

/** Tells the service. It is awaited: nothing is told while a page is being parsed. */
type Begin = () => unknown;

export async function textOf(begin: Begin, html: string): Promise<string> {
  await begin();
  return toText(html);
}

export async function markdownOf(begin: Begin, html: string): Promise<string> {
  await begin();
  return toMarkdown(html);
}

export async function linksOf(begin: Begin, html: string, base: string): Promise<readonly Link[]> {
  await begin();
  return toLinks(html, base);
}

export async function extracted(
  begin: Begin,
  html: string,
  rules: ExtractRules,
  base: string,
): Promise<Extracted> {
  await begin();
  return extract(html, rules, base);
}
