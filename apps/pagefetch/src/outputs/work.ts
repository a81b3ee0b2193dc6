/**
 * What a worker does with a page: all that parses HTML into a tree. A page can make that slow and
 * large, so it never happens in the service's own process.
 */

import { selectAll, selectOne } from "css-select";
import { render } from "dom-serializer";
import { type AnyNode, type Element, isTag, isText } from "domhandler";
import { getAttributeValue, getChildren, getElementsByTagName, innerText } from "domutils";
import { parseDocument } from "htmlparser2";
import TurndownService from "turndown";
import type { Extracted, ExtractRule, ExtractRules } from "./rules.ts";

/** A link of a page, absolute. */
export interface Link {
  readonly url: string;
  readonly text: string;
  readonly rel?: string | undefined;
}

const left = ["script", "style", "noscript", "template", "svg", "iframe", "head"] as const;
const unseen = new Set<string>(left);
const blocks = new Set(
  "address article aside blockquote br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol option p pre section table tr ul".split(
    " ",
  ),
);
const MAX_LINKS = 10_000;

export function toText(html: string): string {
  const pieces: string[] = [];
  // Depth first without recursion: a page may be a hundred thousand elements deep.
  const open: (AnyNode | "\n")[] = [parseDocument(html)];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node === "\n") pieces.push("\n");
    else if (isText(node)) pieces.push(node.data.replace(/\s+/g, " "));
    else {
      const isBlock = isTag(node) && blocks.has(node.name);
      const isCell = isTag(node) && (node.name === "td" || node.name === "th");
      if (isTag(node) && unseen.has(node.name)) continue;
      if (isBlock) pieces.push("\n");
      if (isCell) pieces.push("\t");
      if (isBlock) open.push("\n");
      const children = "children" in node ? node.children : [];
      for (let index = children.length - 1; index >= 0; index--) {
        const child = children[index];
        if (child !== undefined) open.push(child as AnyNode);
      }
    }
  }
  return pieces
    .join("")
    .replace(/[ \t]*\n[ \t\n]*/g, "\n")
    .replace(/ *\t */g, "\t")
    .replace(/ {2,}/g, " ")
    .trim();
}

export function toMarkdown(html: string): string {
  const service = new TurndownService({
    headingStyle: "atx",
    codeBlockStyle: "fenced",
    bulletListMarker: "-",
  });
  return service.remove(left).turndown(html);
}

/** Each address once, in the order of the page, without what is no page. */
export function toLinks(html: string, base: string): readonly Link[] {
  const document = parseDocument(html);
  const [baseElement] = getElementsByTagName("base", document, true, 1);
  const from = absolute(baseElement && getAttributeValue(baseElement, "href"), base) ?? base;
  const found = new Map<string, Link>();
  for (const element of getElementsByTagName("a", document)) {
    const url = absolute(getAttributeValue(element, "href"), from);
    if (url === undefined || found.has(url)) continue;
    const rel = getAttributeValue(element, "rel");
    const text = innerText(element).replace(/\s+/g, " ").trim();
    found.set(url, { url, text, ...(rel === undefined ? {} : { rel }) });
    if (found.size === MAX_LINKS) break;
  }
  return [...found.values()];
}

function absolute(href: string | undefined, base: string): string | undefined {
  if (href === undefined || !URL.canParse(href.trim(), base)) return undefined;
  const url = new URL(href.trim(), base);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  url.hash = "";
  return url.href;
}

export function extract(html: string, rules: ExtractRules, base: string): Extracted {
  return extractFrom(parseDocument(html).children as AnyNode[], rules, base);
}

function extractFrom(nodes: AnyNode[], rules: ExtractRules, base: string): Extracted {
  const found: Record<string, Extracted> = Object.create(null);
  for (const [name, rule] of Object.entries(rules)) found[name] = valueFor(nodes, rule, base);
  return found;
}

function valueFor(nodes: AnyNode[], rule: ExtractRule, base: string): Extracted {
  const show = (element: Element): Extracted => outputOf(element, rule.output, base);
  if (rule.type === "list") {
    return selectAll<AnyNode, Element>(rule.selector, nodes).map(show);
  }
  const first = selectOne<AnyNode, Element>(rule.selector, nodes);
  return first === null || first === undefined ? null : show(first);
}

function outputOf(element: Element, output: string | ExtractRules, base: string): Extracted {
  if (typeof output !== "string") return extractFrom(getChildren(element), output, base);
  if (output === "text") return innerText(element).replace(/\s+/g, " ").trim();
  if (output === "html") return render(element);
  if (output.startsWith("@")) {
    const name = output.slice(1).toLowerCase();
    const value = getAttributeValue(element, name);
    if (value === undefined) return null;
    return name === "href" || name === "src" ? (absolute(value, base) ?? value) : value;
  }
  const rows = selectAll<AnyNode, Element>("tr", [element]).map((row) =>
    selectAll<AnyNode, Element>("th, td", [row]).map((cell) =>
      innerText(cell).replace(/\s+/g, " ").trim(),
    ),
  );
  if (output === "table_array") return rows;
  const [head = [], ...body] = rows;
  return body.map((cells) => {
    const row: Record<string, Extracted> = Object.create(null);
    for (const [index, cell] of cells.entries()) row[head[index] ?? String(index)] = cell;
    return row;
  });
}
