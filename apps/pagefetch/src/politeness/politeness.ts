/**
 * Who may ask a site, and when. A request passes up to three kinds of lanes: that of the registrable
 * domain, that of each address behind the name (five hundred sites on one machine are one machine),
 * and, where robots.txt has a crawl-delay, that of the host which says so.
 *
 * Places are taken before turns, and always in the order of the lanes' names, so two requests never
 * wait for each other. Source of the numbers: one request a second, two at a time, is what new
 * Scrapy projects and Cloudflare's crawler keep to, give or take a factor of two.
 */

import * as asyncio from "asyncio-ts";
import { Keyed } from "asyncio-ts/patterns";
import { getDomain } from "tldts";
import { PageError } from "../contract/errors.ts";
import { hostNamed } from "../contract/hosts.ts";
import type { Outcome, Politeness, Turn } from "../contract/parts.ts";
import { type Bounds, Lane, type Pace } from "./lane.ts";

/** What is left out is as it stands beside. */
export type GivenPace = { readonly [K in keyof Pace]?: Pace[K] | undefined };

/** How politely. Times are seconds. */
export interface PolitenessOptions extends Bounds {
  /** For each registrable domain. @default one request a second, two at a time */
  readonly domain?: GivenPace | undefined;
  /** For each address behind a name. @default as `domain` */
  readonly address?: GivenPace | undefined;
  /**
   * Another pace for a site, by the operator's agreement with it. Keys are registrable domains, or
   * addresses for sites without a name. The addresses behind such a site are not looked at.
   */
  readonly sites?: Readonly<Record<string, GivenPace>> | undefined;
  /** The longest crawl-delay that is kept to. @default 60 */
  readonly maxCrawlDelay?: number | undefined;
  /** For how long a lane is remembered that nobody uses. @default 300 */
  readonly idle?: number | undefined;
}

/** What is known of one lane, for `statistics()`. */
export interface PolitenessStatistics {
  readonly lanes: number;
  readonly entered: number;
  readonly refused: number;
  /** Seconds that requests have waited in all. */
  readonly waited: number;
}

const standard: Pace = { interval: 1, inFlight: 2 };

/** The registrable domain of a host; the host itself where it has none, such as an address. */
export function siteOf(hostname: string): string {
  const host = hostname.replace(/^\[|\]$|\.$/g, "").toLowerCase();
  return getDomain(host, { allowPrivateDomains: true }) ?? host;
}

export function createPoliteness(
  options: PolitenessOptions = {},
): Politeness & { statistics(): PolitenessStatistics } {
  const domainPace = checkPace("domain", options.domain, standard);
  const addressPace = checkPace("address", options.address, domainPace);
  const sites = new Map(
    Object.entries(options.sites ?? {}).map(([site, pace]) => [
      checkSite(site),
      checkPace(`sites["${site}"]`, pace, domainPace),
    ]),
  );
  const { maxCrawlDelay = 60, idle = 300 } = options;
  const { processes = 1 } = options;
  if (!Number.isInteger(processes) || processes < 1) {
    throw new RangeError(`processes: expected a whole number from 1 on, got ${processes}`);
  }
  checkSeconds("maxCrawlDelay", maxCrawlDelay);
  checkSeconds("idle", idle);
  checkSeconds("maxPause", options.maxPause ?? 0);
  checkSeconds("maxInterval", options.maxInterval ?? 0);
  const counts = { entered: 0, refused: 0, waited: 0 };
  const lanes = new Keyed(
    (name: string) => {
      const [kind, of = ""] = name.split(" ");
      const pace = kind === "address" ? addressPace : (sites.get(siteOf(of)) ?? domainPace);
      return new Lane(pace, options, name);
    },
    { idle },
  );

  async function enter(ask: Parameters<Politeness["enter"]>[0]): Promise<Turn> {
    const loop = asyncio.getRunningLoop();
    const began = loop.time();
    const site = siteOf(ask.url.hostname);
    const domain = `domain ${site}`;
    const names = new Set([domain]);
    if (!sites.has(site)) for (const address of ask.addresses) names.add(`address ${address}`);
    const crawlDelay = Math.min(ask.crawlDelay ?? 0, maxCrawlDelay);
    const host = `host ${ask.url.hostname}`;
    if (crawlDelay > 0) names.add(host);
    const inOrder = [...names].sort();

    const places: Disposable[] = [];
    try {
      for (const name of inOrder) {
        const lane = lanes.for(name);
        if (name === host) lane.keepApart(crawlDelay);
        refuseIfTooLate(lane, ask.url);
        places.push(await lane.place());
      }
      for (const name of inOrder) {
        const lane = lanes.for(name);
        refuseIfTooLate(lane, ask.url);
        await lane.turn();
      }
    } catch (error) {
      for (const place of places) place[Symbol.dispose]();
      throw error;
    }
    const beganAt = loop.time();
    const waited = beganAt - began;
    counts.entered++;
    counts.waited += waited;
    let isOver = false;
    return {
      waited,
      end(outcome: Outcome): void {
        if (isOver) throw new Error("this turn has ended already");
        isOver = true;
        for (const place of places) place[Symbol.dispose]();
        learn(lanes.for(domain), beganAt, outcome);
      },
    };
  }

  function learn(lane: Lane, beganAt: number, outcome: Outcome): void {
    const { status, retryAfter, latency } = outcome;
    if (status === undefined || outcome.cancelled === true) return;
    if (status === 429 || retryAfter !== undefined) {
      counts.refused++;
      lane.refused(beganAt, retryAfter);
    } else if (latency !== undefined) lane.answered(latency, status < 400 || status === 404);
  }

  return { enter, statistics: () => ({ lanes: lanes.size, ...counts }) };
}

/**
 * A wait that cannot end before the request's deadline is not begun: the caller learns at once how
 * long it would have been.
 */
function refuseIfTooLate(lane: Lane, url: URL): void {
  const delay = lane.delay();
  const left = asyncio.timeLeft();
  if (delay <= left || left <= 0) return;
  const text = `this site is asked again in ${delay.toFixed(1)} s, and ${left.toFixed(1)} s are left`;
  throw new PageError(lane.isPaused ? "target_rate_limited" : "timeout", text, {
    phase: "polite_wait",
    url: url.href,
    retryAfter: delay,
  });
}

function checkPace(name: string, given: GivenPace | undefined, standard: Pace): Pace {
  const { interval = standard.interval, inFlight = standard.inFlight } = given ?? {};
  checkSeconds(`${name}.interval`, interval);
  if (!Number.isInteger(inFlight) || inFlight < 1) {
    throw new RangeError(`${name}.inFlight: expected a whole number from 1 on, got ${inFlight}`);
  }
  return { interval, inFlight };
}

/** A key that is no site is looked up by nobody: its pace would be passed over in silence. */
function checkSite(given: string): string {
  const host = hostNamed(given)?.replace(/^\[|\]$/g, "");
  const site = host === undefined ? undefined : siteOf(host);
  if (site !== undefined && site === host) return site;
  const cure = site === undefined ? "" : `. The site of that host is "${site}"`;
  throw new RangeError(
    `sites: expected registrable domains or addresses, got ${JSON.stringify(given)}${cure}`,
  );
}

function checkSeconds(name: string, seconds: number): void {
  if (typeof seconds !== "number" || !(seconds >= 0 && seconds < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`${name}: expected seconds, 0 or more, got ${String(seconds)}`);
  }
}
