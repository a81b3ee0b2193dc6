/**
 * Patterns of robots.txt and the paths that they are compared with, by RFC 9309, 2.2.2 and 2.2.3:
 * `*` stands for any characters, `$` at the end for the end of the path, everything else for
 * itself. Both sides are brought into one spelling before they are compared.
 *
 * A file may come from somebody who means us harm. So a comparison reads each character of path and
 * pattern once (Knuth, Morris and Pratt's search, leftmost place first), and there is no
 * backtracking over stars. Steps are counted for the limit of a whole file (see verdict.ts).
 */

export interface Pattern {
  /** What stands between the stars, in the one spelling. The first begins at the path's start. */
  readonly parts: readonly string[];
  /** True if the last part ends where the path ends: the pattern ends in `$`. */
  readonly isAnchored: boolean;
  /** Of the pattern in bytes: the longest pattern that fits decides. */
  readonly length: number;
}

/** How many characters a comparison has read. Shared by all comparisons of one question. */
export interface Steps {
  left: number;
}

export function compilePattern(text: string): Pattern {
  const isAnchored = text.endsWith("$");
  const normal = normalize(isAnchored ? text.slice(0, -1) : text);
  return { parts: normal.split("*"), isAnchored, length: normal.length + (isAnchored ? 1 : 0) };
}

/** Path and query of `url` in the spelling of patterns. Its `*` and `$` are no wildcards. */
export function pathOf(url: URL): string {
  return normalize(url.pathname + url.search)
    .replaceAll("*", "%2A")
    .replaceAll("$", "%24");
}

/** Whether `pattern` fits `path`. Subtracts what it reads from `steps`. */
export function fits(pattern: Pattern, path: string, steps: Steps): boolean {
  const { parts, isAnchored } = pattern;
  const [first = ""] = parts;
  steps.left -= 1;
  if (!path.startsWith(first)) return false;
  if (parts.length === 1) return !isAnchored || path.length === first.length;

  let from = first.length;
  const last = parts.length - 1;
  for (let index = 1; index < last; index++) {
    const found = indexOf(path, parts[index] ?? "", from, steps);
    if (found < 0) return false;
    from = found + (parts[index] ?? "").length;
  }
  const end = parts[last] ?? "";
  if (!isAnchored) return indexOf(path, end, from, steps) >= 0;
  steps.left -= end.length;
  return path.length - end.length >= from && path.endsWith(end);
}

/**
 * Up to so many characters the engine's own search is quicker than building a table. It may read a
 * character as often as that; the limit of steps is low enough for it.
 */
const SHORT = 32;

function indexOf(path: string, part: string, from: number, steps: Steps): number {
  if (part === "") return from;
  steps.left -= path.length - from + part.length;
  if (part.length <= SHORT) return path.indexOf(part, from);
  if (path.length - from < part.length) return -1;

  const table = borders(part);
  let matched = 0;
  for (let index = from; index < path.length; index++) {
    while (matched > 0 && path[index] !== part[matched]) matched = table[matched - 1] ?? 0;
    if (path[index] === part[matched]) matched++;
    if (matched === part.length) return index - matched + 1;
  }
  return -1;
}

/** For each start of `part`: the length of the longest proper start that it also ends with. */
function borders(part: string): readonly number[] {
  const table = [0];
  let length = 0;
  for (let index = 1; index < part.length; index++) {
    while (length > 0 && part[index] !== part[length]) length = table[length - 1] ?? 0;
    if (part[index] === part[length]) length++;
    table.push(length);
  }
  return table;
}

const unreserved = /[A-Za-z0-9\-._~]/;
const written = /^[\x21-\x24\x26-\x7e]*$/; // in one spelling already, as nearly all are

/**
 * One spelling for all that mean the same (RFC 3986, 6.2.2): `%7E` and `~`, `%c3` and `%C3`, `ä`
 * and `%C3%A4`. A character that stands for something in URLs (`/`, `?`) stays as it is written,
 * since `%2F` is not a slash.
 */
function normalize(text: string): string {
  if (written.test(text)) return text;
  return text.replaceAll(/%[0-9a-f]{2}|[^\x21-\x7e]/gi, (found) => {
    if (!found.startsWith("%")) return encodeURIComponent(found);
    const character = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    return unreserved.test(character) ? character : found.toUpperCase();
  });
}
