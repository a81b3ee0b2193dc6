/**
 * What robots.txt says, asked once for many requests. The file of an origin is fetched through the
 * call that the pipeline gives, kept for as long as its `Cache-Control` says (five minutes at
 * least, a day at most), and used for another day if it cannot be fetched again.
 *
 * What an answer means is RFC 9309, 2.3.1: 4xx is no file, and allows; 5xx is a file that cannot be
 * read, and forbids. 429 is counted with the latter, as Google does. A host that cannot be reached
 * gives no page either, so that failure is told as it is.
 */

import { getRunningLoop } from "asyncio-ts";
import { singleFlight } from "asyncio-ts/patterns";
import { PageError } from "../contract/errors.ts";
import { headersOf } from "../contract/headers.ts";
import type { Robots, RobotsAnswer, RobotsFetch, RobotsResponse } from "../contract/parts.ts";
import { Recent } from "../contract/recent.ts";
import { parseRobots, type RobotsFile } from "./parse.ts";
import { type Rules, rulesFor, verdict } from "./verdict.ts";

export interface RobotsOptions {
  /** Bytes of robots files that are kept, the last used ones. @default 64 MiB */
  readonly memory?: number | undefined;
}

const MINUTE = 60;
const DAY = 24 * 60 * MINUTE;
const SHORTEST = 5 * MINUTE;
/** If the file says nothing. */
const USUAL = 60 * MINUTE;
/** What an origin costs besides its file. */
const OVERHEAD = 500;
/** Redirects that go nowhere are no file (RFC 9309, 2.3.1.2). */
const noFile = new Set(["too_many_redirects", "unsupported_content"]);

interface Known {
  /** Undefined where there is none to read. */
  readonly file: RobotsFile | undefined;
  /** Whether everything is allowed where no file is. */
  readonly allows: boolean;
  readonly because: string | undefined;
  /** Until when it is used without being asked for again, on the clock of the loop. */
  readonly until: number;
  /** Until when it is used if it cannot be had again. */
  readonly atMost: number;
  readonly size: number;
  /** By product token. */
  readonly rules: Map<string, Rules>;
}

export function createRobots(get: RobotsFetch, options: RobotsOptions = {}): Robots {
  const { memory = 64 * 2 ** 20 } = options;
  const origins = new Recent<string, Known>(memory, ({ size }) => size);

  const fetched = singleFlight(
    async (origin: string) => {
      const spent = { sent: 0, received: 0 };
      const known = await read(origin, origins.get(origin), get, spent);
      origins.set(origin, known);
      return { known, spent };
    },
    { name: "robots.txt" },
  );

  return {
    async check(url, token): Promise<RobotsAnswer> {
      const { origin } = url;
      const found = origins.get(origin);
      if (found !== undefined && found.until > getRunningLoop().time())
        return { ...answerOf(found, url, token), sent: 0, received: 0 };
      const { known, spent } = await fetched(origin);
      // Of all who waited for it, the first one has the bill.
      const { sent, received } = spent;
      spent.sent = spent.received = 0;
      return { ...answerOf(known, url, token), sent, received };
    },
  };
}

async function read(
  origin: string,
  before: Known | undefined,
  get: RobotsFetch,
  spent: { sent: number; received: number },
): Promise<Known> {
  const now = getRunningLoop().time();
  try {
    const response = await get(new URL("/robots.txt", origin));
    spent.sent += response.sent;
    spent.received += response.received;
    return knownOf(response, before, now);
  } catch (error) {
    if (!(error instanceof PageError)) throw error;
    for (const one of error.details.attempts ?? []) {
      spent.sent += one.sent;
      spent.received += one.received;
    }
    const status = error.details.answer?.status;
    if (status !== undefined && !noFile.has(error.code))
      return knownOf({ status, headers: [], bytes: new Uint8Array() }, before, now);
    if (noFile.has(error.code)) return without(true, "robots.txt leads nowhere", now);
    if (before !== undefined && before.atMost > now) return again(before, now);
    throw error;
  }
}

function knownOf(
  { status, headers, bytes }: Pick<RobotsResponse, "status" | "headers" | "bytes">,
  before: Known | undefined,
  now: number,
): Known {
  if (status >= 200 && status < 300) {
    const until = now + lifetimeOf(headersOf(headers, "cache-control").join(","));
    const file = parseRobots(bytes);
    const size = bytes.length + OVERHEAD;
    const atMost = until + DAY;
    return { file, allows: true, because: undefined, until, atMost, size, rules: new Map() };
  }
  if (status >= 500 || status === 429) {
    if (before !== undefined && before.atMost > now) return again(before, now);
    return without(false, `robots.txt cannot be read (${status})`, now);
  }
  return without(true, `there is no robots.txt (${status})`, now);
}

/** Once more for a while, although it is too old. */
function again(before: Known, now: number): Known {
  return { ...before, until: Math.min(now + SHORTEST, before.atMost) };
}

function without(allows: boolean, because: string, now: number): Known {
  const until = now + (allows ? USUAL : SHORTEST);
  const size = OVERHEAD;
  return { file: undefined, allows, because, until, atMost: until, size, rules: new Map() };
}

function lifetimeOf(cacheControl: string): number {
  if (/\bno-(?:cache|store)\b/i.test(cacheControl)) return SHORTEST;
  const seconds = /\bmax-age="?(\d+)/i.exec(cacheControl)?.[1];
  return seconds === undefined ? USUAL : Math.min(Math.max(Number(seconds), SHORTEST), DAY);
}

function answerOf(
  known: Known,
  url: URL,
  token: string,
): Pick<RobotsAnswer, "receipt" | "crawlDelay"> {
  const { file, allows, because } = known;
  const isItself = url.pathname === "/robots.txt";
  if (file === undefined) {
    const said = allows || isItself ? "allowed" : "disallowed";
    return { receipt: { verdict: said, because }, crawlDelay: undefined };
  }
  let rules = known.rules.get(token);
  if (rules === undefined) {
    rules = rulesFor(file, token);
    if (known.rules.size < 10) known.rules.set(token, rules);
  }
  const { allowed, rule, because: why } = verdict(rules, url);
  return {
    receipt: {
      verdict: allowed ? "allowed" : "disallowed",
      line: rule?.line,
      text: rule?.text,
      because: why ?? (rule === undefined ? "no line is about it" : undefined),
    },
    crawlDelay: rules.crawlDelay,
  };
}
