/** How what a fetch gave, or why it gave nothing, is said over HTTP. */

import { PageError } from "../contract/errors.ts";
import { type HeaderList, headerOf } from "../contract/headers.ts";
import type { FetchResult, PageHead } from "../contract/result.ts";
import type { Dialect } from "./dialects.ts";

/** A failure as its JSON body. What is undefined is left out by JSON. */
export function errorBody(error: PageError, id: string): object {
  const { details } = error;
  return {
    error: {
      code: error.code,
      message: error.message,
      fault: error.fault,
      phase: details.phase,
      url: details.url,
      parameter: details.parameter,
      retry_after: details.retryAfter,
      vendor: details.vendor,
      evidence: details.evidence,
      limit: details.limit,
      target_status: details.answer?.status,
      attempts: details.attempts,
    },
    id,
  };
}

/** The headers of a failure. */
export function errorHeaders(error: PageError, id: string): Record<string, string> {
  const { retryAfter, answer, attempts = [] } = error.details;
  return {
    "content-type": "application/json; charset=utf-8",
    "x-fetch-id": id,
    "x-fetch-error": error.code,
    "x-fetch-attempts": String(attempts.length),
    ...(answer === undefined ? {} : { "x-fetch-status": String(answer.status) }),
    ...(retryAfter === undefined ? {} : { "retry-after": String(Math.ceil(retryAfter)) }),
  };
}

/** How many attempts a page has taken. The last one counts while its body still comes. */
export function attemptsOf({ ended, cache }: PageHead): number {
  return ended.length + (cache === "hit" || cache === "stale" ? 0 : 1);
}

/** What the answer's headers tell of a page, whose body may be on its way. */
export function receiptHeaders(head: PageHead, id: string): Record<string, string> {
  const { robots } = head;
  const line = robots.line === undefined ? "" : `; line=${robots.line}`;
  const url = shownUrl(head.finalUrl);
  return {
    "x-fetch-id": id,
    "x-fetch-status": String(head.status),
    ...(url === undefined ? {} : { "x-fetch-final-url": url }),
    "x-fetch-attempts": String(attemptsOf(head)),
    "x-fetch-redirects": String(head.hops.length - 1),
    "x-fetch-robots": `${robots.verdict}${line}`,
    "x-fetch-identity": head.identity,
    "x-fetch-cache": head.cache,
    "x-fetch-polite-wait": head.politeWait.toFixed(3),
    // The page is somebody else's: no browser may run it in the name of this service.
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
  };
}

/** All of a page, as JSON. */
export function envelope(
  page: FetchResult,
  more: {
    readonly id: string;
    readonly output: string;
    readonly content: unknown;
    readonly cost: number;
  },
): object {
  return {
    id: more.id,
    url: page.url,
    final_url: page.finalUrl,
    status: page.status,
    headers: page.headers,
    charset: page.charset.name,
    output: more.output,
    content: more.content,
    hops: page.hops,
    attempts: page.attempts,
    robots: page.robots,
    identity: page.identity,
    session: page.session,
    cache: page.cache,
    polite_wait: page.politeWait,
    seconds: page.seconds,
    sent: page.sent,
    received: page.received,
    cost: more.cost,
  };
}

const LONGEST_TYPE = 1024;

/** What the site says. Clients read 16 KiB of headers: a type that is no type must not use them up. */
export function contentType(headers: HeaderList): string | undefined {
  const type = headerOf(headers, "content-type");
  return type !== undefined && type.length <= LONGEST_TYPE ? type : undefined;
}

/** A failure as it is sent. */
export interface Failed {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** What is told of a bug. */
export const ourFault = {
  status: 500,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: { error: { code: "failed", message: "this is our fault", fault: "us" } },
};

/** @throws PageError for what makes a longer text than there can be: control characters take six. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const text = "the page is too large to be told as JSON: `GET /` gives it as it comes";
    throw new PageError("too_large", text, { phase: "consume" });
  }
}

/**
 * A client reads 16 KiB of headers, a proxy in front of the service often 4. With a longer address
 * among them, the answer could not be read.
 */
const LONGEST_URL = 2048;

/** An address as a header has it; undefined for one that is too long for that. */
function shownUrl(url: string): string | undefined {
  // A header's value has no characters beyond ASCII.
  const text = url.replace(/[^\x21-\x7e]/g, (character) => encodeURIComponent(character));
  return text.length > LONGEST_URL ? undefined : text;
}

/** What users of another service look for, in its headers. */
export function named(
  dialect: Dialect,
  status: number,
  finalUrl: string,
  cost: number,
): Record<string, string> {
  const values: Record<string, string | undefined> = {
    status: String(status),
    final_url: shownUrl(finalUrl),
    cost: String(cost),
  };
  return Object.fromEntries(
    Object.entries(dialect.headers).flatMap(([header, what]) => {
      const value = values[what];
      return value === undefined ? [] : [[header, value]];
    }),
  );
}
