/** How what a fetch gave, or why it gave nothing, is said over HTTP. */

import type { PageError } from "../contract/errors.ts";
import type { FetchResult, PageHead } from "../contract/result.ts";

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
  return {
    "x-fetch-id": id,
    "x-fetch-status": String(head.status),
    "x-fetch-final-url": visible(head.finalUrl),
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

/** A header's value has no characters beyond ASCII. */
function visible(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, (character) => encodeURIComponent(character));
}
