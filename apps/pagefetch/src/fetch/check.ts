/** What a caller asks for, checked and completed. What makes no sense is refused by name. */

import { PageError } from "../contract/errors.ts";
import { type Header, type HeaderList, isToken, wrongWithHeader } from "../contract/headers.ts";
import type { FetchOptions } from "../contract/options.ts";

type Given = "body" | "country" | "session" | "maxAge" | "signal" | "onProgress";

/** Everything has a value; `headers` in lower case. */
export interface Checked
  extends Pick<FetchOptions, Given>,
    Required<{
      readonly [K in Exclude<keyof FetchOptions, Given | "headers">]: NonNullable<FetchOptions[K]>;
    }> {
  readonly url: URL;
  readonly headers: HeaderList;
  readonly bytes: Uint8Array | undefined;
}

const LONGEST_URL = 16 * 1024;
const LONGEST_TIME = 3600;
const MIB = 2 ** 20;
const MOST_HEADERS = 100;

/** Seconds for a request, where it does not say how many. */
export const defaultTimeout = 60;

const defaults = {
  method: "GET",
  timeout: defaultTimeout,
  attemptTimeout: 30,
  connectTimeout: 10,
  headersTimeout: 20,
  retries: 4,
  retryUnsafe: false,
  maxBytes: 10 * MIB,
  maxRedirects: 10,
  allowDowngrade: true,
  robots: "obey",
  identity: "bot",
  proxy: "auto",
  cache: "off",
} as const;

const others: Readonly<Record<Given | "headers", 1>> = {
  body: 1,
  country: 1,
  session: 1,
  maxAge: 1,
  signal: 1,
  onProgress: 1,
  headers: 1,
};

function bad(parameter: string, message: string): PageError {
  return new PageError("bad_request", message, { parameter });
}

/** @throws PageError `bad_request`, `unknown_parameter`. */
export function checked(url: string | URL, options: FetchOptions = {}): Checked {
  if (!isTable(options)) throw bad("options", "`options` has to be an object");
  for (const name of Object.keys(options))
    if (!Object.hasOwn(defaults, name) && !Object.hasOwn(others, name))
      throw new PageError("unknown_parameter", `there is no option \`${name}\``, {
        parameter: name,
      });
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  ) as { readonly [K in keyof FetchOptions]: NonNullable<FetchOptions[K]> }; // what is not set is out
  const all = { ...defaults, ...given };

  const method = checkedMethod(all.method);
  const bytes = checkedBody(all.body, method);
  for (const name of ["timeout", "attemptTimeout", "connectTimeout", "headersTimeout"] as const)
    if (!(typeof all[name] === "number" && all[name] > 0 && all[name] <= LONGEST_TIME))
      throw bad(name, `\`${name}\` is a number of seconds above 0, and ${LONGEST_TIME} at most`);
  checkCount("retries", all.retries, 0, 20);
  checkCount("maxRedirects", all.maxRedirects, 0, 50);
  checkCount("maxBytes", all.maxBytes, 1, 1024 * MIB);
  if (all.maxAge !== undefined && !(typeof all.maxAge === "number" && all.maxAge >= 0))
    throw bad("maxAge", "`maxAge` is a number of seconds");
  checkMaxAge("maxAge", all.maxAge, all.cache);
  checkFlag("retryUnsafe", all.retryUnsafe);
  checkFlag("allowDowngrade", all.allowDowngrade);
  if (all.signal !== undefined && !isSignal(all.signal))
    throw bad("signal", "`signal` is an AbortSignal");
  if (all.onProgress !== undefined && typeof all.onProgress !== "function")
    throw bad("onProgress", "`onProgress` is a function");
  checkChoice("robots", all.robots, ["obey", "ignore"]);
  checkChoice("identity", all.identity, ["bot", "custom", "browser"]);
  checkChoice("cache", all.cache, ["off", "read", "write", "use"]);
  checkText("proxy", all.proxy);
  checkText("session", all.session);
  if (all.country !== undefined && !isCountry(all.country))
    throw bad("country", "`country` is two letters, as in ISO 3166");
  return {
    ...all,
    url: checkedUrl(url),
    method,
    bytes,
    headers: checkedHeaders(all.headers),
    ...(all.country === undefined ? {} : { country: all.country.toLowerCase() }),
  };
}

/** Throws for an age that no stored page is held against. @param name - what the caller calls it */
export function checkMaxAge(name: string, maxAge: unknown, cache: string | undefined): void {
  if (maxAge === undefined || cache === "read" || cache === "use") return;
  const found = `cache is ${JSON.stringify(cache ?? "off")}`;
  throw bad(name, `\`${name}\` needs a cache that is read, and ${found}: say "use" or "read"`);
}

/** @throws PageError `bad_request` for what is no URL of HTTP, or has a password in it. */
export function checkedUrl(given: unknown): URL {
  const isUrl = typeof given === "string" || (isTable(given) && "href" in given);
  if (!isUrl) throw bad("url", "`url` is a text, or a URL");
  const text = String(given);
  if (text.length > LONGEST_URL) throw bad("url", `a URL has ${LONGEST_URL} characters at most`);
  const url = URL.parse(text);
  if (url === null) throw bad("url", `\`url\` is no URL: ${JSON.stringify(text.slice(0, 100))}`);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw bad("url", `\`url\` has to begin with http: or https:, not with ${url.protocol}`);
  if (url.username !== "" || url.password !== "")
    throw bad("url", "`url` has a user name in it. Send an `authorization` header instead");
  if (url.hostname === "") throw bad("url", "`url` has no host");
  url.hash = "";
  return url;
}

function checkedMethod(given: unknown): string {
  const method = typeof given === "string" ? given.toUpperCase() : "";
  if (!isToken(method)) throw bad("method", "`method` is no method of HTTP");
  if (["CONNECT", "TRACE", "TRACK"].includes(method))
    throw bad("method", `\`method\` cannot be ${method}`);
  return method;
}

function checkedBody(body: unknown, method: string): Uint8Array | undefined {
  if (body === undefined) return undefined;
  if (method === "GET" || method === "HEAD") throw bad("body", `${method} has no body`);
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  throw bad("body", "`body` is text or bytes");
}

function checkedHeaders(given: FetchOptions["headers"]): HeaderList {
  if (given === undefined) return [];
  if (!isTable(given) && !Array.isArray(given))
    throw bad("headers", "`headers` is an object, or a list of pairs");
  const pairs: readonly unknown[] = Array.isArray(given) ? given : Object.entries(given);
  if (pairs.length > MOST_HEADERS)
    throw bad("headers", `there are ${MOST_HEADERS} headers at most`);
  return pairs.map(checkedHeader);
}

function checkedHeader(pair: unknown): Header {
  const [name, text] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
  if (typeof name !== "string" || typeof text !== "string")
    throw bad("headers", "a header is a pair of texts");
  const wrong = wrongWithHeader(name, text);
  if (wrong !== undefined) throw bad("headers", wrong);
  return [name.toLowerCase(), text.trim()];
}

function checkCount(name: string, found: unknown, least: number, most: number): void {
  if (!(Number.isSafeInteger(found) && (found as number) >= least && (found as number) <= most))
    throw bad(name, `\`${name}\` is a whole number from ${least} to ${most}`);
}

/** Whether it is an object of names and values. A promise is none: somebody forgot to await it. */
export function isTable(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !("then" in value && typeof value.then === "function");
}

function isCountry(given: unknown): boolean {
  return typeof given === "string" && /^[A-Za-z]{2}$/.test(given);
}

/** One of another realm, or of a polyfill, is as good. */
function isSignal(given: unknown): boolean {
  return typeof given === "object" && given !== null && "aborted" in given && "reason" in given;
}

/** "false" would be true. */
function checkFlag(name: string, found: unknown): void {
  if (typeof found !== "boolean") throw bad(name, `\`${name}\` is true or false`);
}

function checkChoice(name: string, found: unknown, choices: readonly string[]): void {
  if (!choices.includes(found as string))
    throw bad(name, `\`${name}\` is one of ${choices.join(", ")}`);
}

function checkText(name: string, found: unknown): void {
  if (found === undefined) return;
  if (typeof found !== "string" || !/^[\w.:@-]{1,100}$/.test(found))
    throw bad(name, `\`${name}\` is a name of 1 to 100 letters, digits, and . : @ _ -`);
}
