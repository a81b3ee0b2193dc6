/**
 * Reads robots.txt by RFC 9309, with what Google's parser tolerates (github.com/google/robotstxt):
 * misspelt directives, a space instead of the colon, a full User-Agent string in place of a product
 * token, unknown lines between the `User-agent` lines of a group. Nothing in a file is an error: a
 * line that cannot be read is kept for the report and means nothing.
 */

import { compilePattern, type Pattern } from "./pattern.ts";

/** RFC 9309, 2.5: a crawler has to read 500 KiB at least. What comes after that is not read. */
export const MAX_BYTES = 500 * 1024;

/** Google reads so many bytes of a line. A longer one is cut. */
const MAX_LINE = 2083 * 8;

/** One line that allows or forbids. */
export interface Rule {
  readonly allows: boolean;
  /** The pattern as it stands in the file. */
  readonly text: string;
  /** Counted from 1. */
  readonly line: number;
  readonly pattern: Pattern;
}

/** The rules for the product tokens that stand at the head of a group. */
export interface Group {
  /** In lower case; `*` stands for all that have no group of their own. */
  readonly agents: ReadonlySet<string>;
  readonly rules: readonly Rule[];
  /** Seconds between two requests that the file asks for. Not of the RFC. */
  readonly crawlDelay: number | undefined;
}

export interface RobotsFile {
  readonly groups: readonly Group[];
  /** URLs of site maps, as they stand in the file. */
  readonly sitemaps: readonly string[];
  /** Lines that are none of the above, such as `Content-Signal`. At most 100 are kept. */
  readonly otherLines: readonly { readonly line: number; readonly text: string }[];
  /** True if the file is longer than MAX_BYTES, so that its end was not read. */
  readonly isCut: boolean;
}

interface OpenGroup {
  readonly agents: Set<string>;
  readonly rules: Rule[];
  crawlDelay: number | undefined;
}

const MAX_OTHER_LINES = 100;
const misspelt = ["dissallow", "dissalow", "disalow", "diasllow", "disallaw"];
const meanings: Readonly<Record<string, string>> = {
  ...Object.fromEntries(misspelt.map((word) => [word, "disallow"])),
  useragent: "user-agent",
  "user agent": "user-agent",
  "site-map": "sitemap",
};

/** Reads a robots.txt. `bytes` is its body, decoded from gzip and the like, not from UTF-8. */
export function parseRobots(bytes: Uint8Array): RobotsFile {
  const groups: OpenGroup[] = [];
  const sitemaps: string[] = [];
  const otherLines: { line: number; text: string }[] = [];
  let group: OpenGroup | undefined;
  let isHead = false; // a further User-agent line belongs to the same group

  // A byte order mark is dropped, and bytes that are no UTF-8 become U+FFFD.
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_BYTES));
  let line = 0;
  for (const raw of text.split(/\r\n|\r|\n/)) {
    line++;
    const read = readLine(raw.length > MAX_LINE ? raw.slice(0, MAX_LINE) : raw);
    if (read === undefined) continue;
    const { key, value } = read;
    if (key === "user-agent") {
      if (!isHead) {
        group = { agents: new Set(), rules: [], crawlDelay: undefined };
        groups.push(group);
        isHead = true;
      }
      const agent = agentOf(value);
      if (agent !== "") group?.agents.add(agent);
    } else if (key === "allow" || key === "disallow") {
      isHead = false;
      // An empty pattern means nothing: "Disallow:" forbids nothing.
      if (value === "" || group === undefined) continue;
      const pattern = compilePattern(value);
      group.rules.push({ allows: key === "allow", text: value, line, pattern });
    } else if (key === "crawl-delay" && group !== undefined) {
      const seconds = Number(value);
      if (value !== "" && seconds >= 0) group.crawlDelay = Math.max(group.crawlDelay ?? 0, seconds);
    } else if (key === "sitemap") {
      sitemaps.push(value);
    } else if (otherLines.length < MAX_OTHER_LINES) {
      otherLines.push({ line, text: raw.trim() });
    }
  }
  return { groups, sitemaps, otherLines, isCut: bytes.length > MAX_BYTES };
}

/** Key and value of a line without its comment; undefined if it has none. */
function readLine(raw: string): { key: string; value: string } | undefined {
  const comment = raw.indexOf("#");
  const line = (comment < 0 ? raw : raw.slice(0, comment)).trim();
  if (line === "") return undefined;
  const colon = line.indexOf(":");
  if (colon > 0) return entryOf(line.slice(0, colon), line.slice(colon + 1));

  // "Disallow /private": two words and nothing else.
  const words = line.split(/[ \t]+/);
  const [first = "", second = ""] = words;
  return words.length === 2 ? entryOf(first, second) : { key: "", value: line };
}

function entryOf(key: string, value: string): { key: string; value: string } {
  const name = key.trim().toLowerCase();
  return { key: meanings[name] ?? name, value: value.trim() };
}

/** The product token at the start of what stands behind `User-agent:`. */
function agentOf(value: string): string {
  if (value === "*" || /^\*\s/.test(value)) return "*";
  return (/^[a-z_-]+/i.exec(value)?.[0] ?? "").toLowerCase();
}
