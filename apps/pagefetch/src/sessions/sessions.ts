/**
 * Sessions: cookies, route and identity that belong together, under a name, for a while. A site
 * that has given a cookie to one address sees it from that address only. A session without a name
 * lives for one call.
 */

import * as asyncio from "asyncio-ts";
import { CookieJar } from "tough-cookie";
import { PageError } from "../contract/errors.ts";
import type { Session, Sessions } from "../contract/parts.ts";
import { Recent } from "../contract/recent.ts";

export interface SessionOptions {
  /** Seconds without a use after which it is forgotten. @default 600 */
  readonly idle?: number | undefined;
  /** Seconds after which it is forgotten, used or not. @default 86,400 */
  readonly maxAge?: number | undefined;
  /** How many there are at most: above it the one goes that was used least recently. @default 10,000 */
  readonly max?: number | undefined;
}

/** What `list` tells of a session: no cookie is in it. */
export interface SessionInfo {
  readonly name: string;
  /** Seconds since it was made, and since it was last used. */
  readonly age: number;
  readonly idle: number;
  readonly routeId: string | undefined;
  readonly uses: number;
}

export interface KeptSessions extends Sessions {
  open(name: string | undefined): Session;
  /** Forgets one: whether it was there. Requests that use it go on with it. */
  end(name: string): boolean;
  list(): readonly SessionInfo[];
}

/** Browsers keep some 180 cookies for a site, of 4 KiB each. */
const MAX_COOKIES = 180;
const MAX_COOKIE = 8 * 1024;
const MAX_NAME = 128;

class CookieSession implements Session {
  readonly name: string | undefined;
  routeId: string | undefined = undefined;
  readonly #jar = new CookieJar();

  constructor(name: string | undefined) {
    this.name = name;
  }

  cookiesFor(url: URL): string | undefined {
    const value = this.#jar.getCookieStringSync(url.href);
    return value === "" ? undefined : value;
  }

  setCookies(url: URL, values: readonly string[]): void {
    let known = this.#jar.getCookiesSync(url.href, { allPaths: true }).length;
    for (const value of values) {
      if (value.length > MAX_COOKIE || known >= MAX_COOKIES) continue;
      // A cookie for another domain, or for a public suffix, is dropped.
      const kept = this.#jar.setCookieSync(value, url.href, { ignoreError: true });
      if (kept !== undefined) known++;
    }
  }
}

interface Entry {
  readonly session: CookieSession;
  readonly madeAt: number;
  usedAt: number;
  uses: number;
}

export function createSessions(options: SessionOptions = {}): KeptSessions {
  const { idle = 600, maxAge = 86_400, max = 10_000 } = options;
  for (const [name, value] of Object.entries({ idle, maxAge, max })) {
    if (typeof value !== "number" || !(value > 0)) {
      throw new RangeError(`sessions.${name}: expected a number above 0, got ${String(value)}`);
    }
  }
  const entries = new Recent<string, Entry>(max);
  const now = (): number => asyncio.getRunningLoop().time();
  const isOver = (entry: Entry, at: number): boolean =>
    entry.usedAt + idle <= at || entry.madeAt + maxAge <= at;

  /** Each use looks at the two oldest, so what is over goes without a timer. */
  function sweep(at: number): void {
    let looked = 0;
    for (const [name, entry] of entries) {
      if (isOver(entry, at)) entries.delete(name);
      else if (++looked === 2) return;
    }
  }

  return {
    open(name) {
      if (name === undefined) return new CookieSession(undefined);
      checkName(name);
      const at = now();
      const known = entries.get(name);
      const isKnown = known !== undefined && !isOver(known, at);
      const entry = isKnown
        ? known
        : { session: new CookieSession(name), madeAt: at, usedAt: at, uses: 0 };
      entry.usedAt = at;
      entry.uses++;
      entries.set(name, entry);
      sweep(at);
      return entry.session;
    },
    end: (name) => entries.delete(name),
    list() {
      const at = now();
      return [...entries]
        .filter(([, entry]) => !isOver(entry, at))
        .map(([name, { session, madeAt, usedAt, uses }]) => ({
          name,
          age: at - madeAt,
          idle: at - usedAt,
          routeId: session.routeId,
          uses,
        }));
    },
  };
}

function checkName(name: string): void {
  if (name.length <= MAX_NAME && /^[\w.:-]+$/.test(name)) return;
  throw new PageError(
    "bad_request",
    `a session's name has 1 to ${MAX_NAME} letters, digits, ".", ":", "_" or "-"`,
    { parameter: "session" },
  );
}
