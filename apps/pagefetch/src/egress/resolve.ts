/**
 * Names to addresses. A resolver asks, and checks nothing: that is for egress.ts. A wait here ends
 * when its request is cancelled, and so does the question: `getaddrinfo` would hold a thread until
 * the name server answers, so the questions are asked by Node's own resolver.
 */

import { Resolver as NodeResolver } from "node:dns/promises";
import { cancellable, getRunningLoop } from "asyncio-ts";
import { singleFlight } from "asyncio-ts/patterns";
import { Recent } from "../contract/recent.ts";

/**
 * Gives the addresses of `name`, which is no literal address. An empty list means that there is no
 * such name. Rejects if no answer was to be had.
 */
export type Resolver = (name: string) => Promise<readonly string[]>;

/** For how long an answer is kept, whatever the name server says: seconds. */
const LONGEST = 60;
const MOST_NAMES = 10_000;
/** Codes that say that there is no such name, or no address of that kind. */
const nothing = new Set(["ENOTFOUND", "ENODATA"]);

interface Answer {
  readonly addresses: readonly string[];
  readonly until: number;
}

/**
 * Asks the name servers of the machine for IPv4 and IPv6 addresses. Does not read `/etc/hosts`: what
 * stands there is for the machine, not for who fetches through it.
 */
export function dnsResolver(servers?: readonly string[]): Resolver {
  const known = new Recent<string, Answer>(MOST_NAMES);
  const asked = singleFlight((name: string) => ask(name, servers), { name: "a name" });
  return async (name) => {
    const now = getRunningLoop().time();
    const found = known.get(name);
    if (found !== undefined && found.until > now) return found.addresses;
    const { addresses, ttl } = await asked(name);
    known.set(name, { addresses, until: now + Math.min(ttl, LONGEST) });
    return addresses;
  };
}

interface Found {
  readonly addresses: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

async function ask(name: string, servers: readonly string[] | undefined): Promise<Found> {
  const resolver = new NodeResolver({ timeout: 3000, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const answers = await cancellable(async (signal) => {
    signal.addEventListener("abort", () => resolver.cancel());
    return await Promise.allSettled([
      resolver.resolve4(name, { ttl: true }),
      resolver.resolve6(name, { ttl: true }),
    ]);
  });
  const records = answers.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  if (records.length === 0)
    for (const one of answers)
      if (one.status === "rejected" && !nothing.has(one.reason?.code)) throw one.reason;
  return {
    addresses: records.map(({ address }) => address),
    ttl: Math.min(LONGEST, ...records.map(({ ttl }) => ttl)),
  };
}

/**
 * Answers from a list: `{ "example.com": ["127.0.1.1"], "*.farm.test": ["127.0.1.2"] }`. What is
 * not in it goes to `otherwise`; without that, there is no such name.
 */
export function zoneResolver(
  zone: Readonly<Record<string, readonly string[]>>,
  otherwise: Resolver = async () => [],
): Resolver {
  return async (name) => {
    const exact = zone[name];
    if (exact !== undefined) return exact;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const wild = zone[`*${name.slice(dot)}`];
      if (wild !== undefined) return wild;
    }
    return await otherwise(name);
  };
}
