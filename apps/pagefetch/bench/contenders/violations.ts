/** What a site has to complain of. It has said what it wants: see `rules.farm.test` in farm.ts. */

export interface Asked {
  readonly path: string;
  /** Milliseconds. */
  readonly at: number;
}

export interface Violations {
  /** Pages that robots.txt disallows. */
  readonly disallowed: number;
  /** Requests within a second of the one before: the crawl-delay. */
  readonly tooSoon: number;
  /** Requests before the two seconds of `Retry-After` had passed. */
  readonly notWaited: number;
}

/** Timers of two processes differ by that much. */
const GRACE = 50;
const pause = 1000 - GRACE;

/** Requests for robots.txt do not count: every client may send them. */
export function violationsOf(requests: readonly Asked[]): Violations {
  const pages = requests.filter(({ path }) => path !== "/robots.txt");
  const busy = pages.findIndex(({ path }) => path === "/busy");
  const until = (pages[busy]?.at ?? 0) + 2000 - GRACE;
  return {
    disallowed: pages.filter(({ path }) => path.startsWith("/private/")).length,
    tooSoon: pages.filter(({ at }, index) => index > 0 && at - (pages[index - 1]?.at ?? 0) < pause)
      .length,
    notWaited: busy < 0 ? 0 : pages.filter(({ at }, index) => index > busy && at < until).length,
  };
}
