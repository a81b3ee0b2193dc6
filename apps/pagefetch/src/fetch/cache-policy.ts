/**
 * What a shared cache may keep, and for how long (RFC 9111). Stricter in one point: what was asked
 * for with a cookie or credentials, or sets a cookie, is somebody's own, whatever it says.
 */

import { type HeaderList, headerOf, headersOf } from "../contract/headers.ts";

/** Directives of `Cache-Control`, names in lower case. The first of a name counts. */
export type Directives = ReadonlyMap<string, string>;

export function directivesOf(headers: HeaderList): Directives {
  const found = new Map<string, string>();
  const text = headersOf(headers, "cache-control").join(",");
  for (const [, name = "", quoted, bare] of text.matchAll(
    /([^\s,;="]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]*)))?/g,
  )) {
    const key = name.toLowerCase();
    if (!found.has(key)) found.set(key, quoted ?? bare ?? "");
  }
  return found;
}

/** Statuses that may be kept although nothing says so (RFC 9110, 15.1), as far as pages go. */
const heuristic = new Set([200, 203, 204, 300, 404, 405, 410, 414, 501]);
const LONGEST_GUESS = 86_400;

function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), 2 ** 31) : undefined;
}

/** Seconds since 1970; undefined for what is no date. */
function dateOf(headers: HeaderList, name: string): number | undefined {
  const time = Date.parse(headerOf(headers, name) ?? "");
  return Number.isNaN(time) ? undefined : time / 1000;
}

/** Whether an answer to a GET with `sent` may be kept. */
export function isStorable(status: number, headers: HeaderList, sent: HeaderList): boolean {
  const directives = directivesOf(headers);
  if (directives.has("no-store") || directives.has("private")) return false;
  if (directivesOf(sent).has("no-store") || isPersonal(sent)) return false;
  if (headerOf(headers, "set-cookie") !== undefined || varyOf(headers).includes("*")) return false;
  if (status === 206 || status === 304 || status < 200) return false;
  const isExplicit =
    directives.has("max-age") ||
    directives.has("s-maxage") ||
    directives.has("public") ||
    headerOf(headers, "expires") !== undefined;
  if (!isExplicit && !heuristic.has(status)) return false;
  // What is neither fresh at any time nor can be asked about again is of no use.
  return lifetimeOf(status, headers) > 0 || Object.keys(validatorsOf(headers)).length > 0;
}

export function isPersonal(sent: HeaderList): boolean {
  return sent.some(([name]) => name === "authorization" || name === "cookie");
}

/** Names of the request's headers that the answer depends on. */
export function varyOf(headers: HeaderList): readonly string[] {
  return headersOf(headers, "vary")
    .join(",")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

/** Seconds for which it is fresh (RFC 9111, 4.2.1 and 4.2.2). */
export function lifetimeOf(status: number, headers: HeaderList): number {
  const directives = directivesOf(headers);
  // What is no number is stale.
  for (const name of ["s-maxage", "max-age"])
    if (directives.has(name)) return seconds(directives.get(name)) ?? 0;
  const date = dateOf(headers, "date");
  if (headerOf(headers, "expires") !== undefined)
    return Math.max(0, (dateOf(headers, "expires") ?? 0) - (date ?? Date.now() / 1000));
  const modified = dateOf(headers, "last-modified");
  if (!heuristic.has(status) || modified === undefined || date === undefined) return 0;
  return Math.min(Math.max(0, (date - modified) / 10), LONGEST_GUESS);
}

/** How old an answer was when it came, in seconds (RFC 9111, 4.2.3). */
export function initialAge(headers: HeaderList, askedAt: number, cameAt: number): number {
  const apparent = Math.max(0, cameAt - (dateOf(headers, "date") ?? cameAt));
  const said = (seconds(headerOf(headers, "age")) ?? 0) + (cameAt - askedAt);
  return Math.max(apparent, said);
}

/** Whether it may be used without being asked about again, if it is `age` seconds old. */
export function isFresh(status: number, headers: HeaderList, age: number): boolean {
  return !directivesOf(headers).has("no-cache") && age < lifetimeOf(status, headers);
}

/** Whether it may be used where its host cannot be asked (RFC 5861, 4). */
export function isGoodIfError(status: number, headers: HeaderList, age: number): boolean {
  const directives = directivesOf(headers);
  if (
    ["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"].some((name) =>
      directives.has(name),
    )
  )
    return false;
  const extra = seconds(directives.get("stale-if-error")) ?? 0;
  return age < lifetimeOf(status, headers) + extra;
}

/** Headers that ask whether it has changed (RFC 9110, 13.1). */
export function validatorsOf(headers: HeaderList): Readonly<Record<string, string>> {
  const etag = headerOf(headers, "etag");
  const modified = headerOf(headers, "last-modified");
  return {
    ...(etag === undefined ? {} : { "if-none-match": etag }),
    ...(modified === undefined ? {} : { "if-modified-since": modified }),
  };
}

/** Describe the body that is kept, so a 304 does not change them. */
const ofBody = new Set(["content-encoding", "content-length", "content-range", "content-type"]);

/** The headers of a kept answer, brought up to date by those of a 304 (RFC 9111, 3.2). */
export function freshened(kept: HeaderList, news: HeaderList): HeaderList {
  const names = new Set(news.map(([name]) => name).filter((name) => !ofBody.has(name)));
  return [
    ...kept.filter(([name]) => !names.has(name)),
    ...news.filter(([name]) => names.has(name)),
  ];
}
