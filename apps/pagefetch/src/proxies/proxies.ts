/**
 * Which way a request goes. Pools of proxies stand in order of their cost; in a pool the better of
 * two healthy proxies, drawn at random, is taken. Health is kept for each proxy, and for each proxy
 * and site: a proxy that cannot reach one site serves the others.
 *
 * Whose fault a failure is decides what is learned. `proxy_failed` is the proxy's. A connection
 * that broke on the way counts for the proxy at this site. An answer, whatever its status, is the
 * target's: it never burns a proxy.
 */

import * as asyncio from "asyncio-ts";
import { PageError } from "../contract/errors.ts";
import type { Outcome, Proxies, Route, Session, Wish } from "../contract/parts.ts";
import { Recent } from "../contract/recent.ts";
import { Health } from "./health.ts";
import type { ProxyEntry } from "./parse.ts";
import { Tiers } from "./tiers.ts";

export interface ProxyPool {
  readonly name: string;
  readonly proxies: readonly ProxyEntry[];
}

export interface ProxiesOptions {
  /** The cheapest first. Without a pool everything goes directly. */
  readonly pools?: readonly ProxyPool[] | undefined;
  /** Whether `auto` goes directly first. @default true */
  readonly directFirst?: boolean | undefined;
  /** How many sites are remembered. @default 10,000 */
  readonly maxSites?: number | undefined;
  /** From 0 to below 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** What is known of a proxy. No address and no password is in it. */
export interface ProxyInfo {
  readonly id: string;
  readonly pool: string;
  readonly country: string | undefined;
  /** What a request costs by it, in the operator's unit. */
  readonly cost: number;
  readonly inFlight: number;
  /** From 0 to 1, weighted to what was last. */
  readonly failing: number;
  /** Seconds to an answer, the same way. */
  readonly latency: number | undefined;
  /** Seconds until it is tried again; 0 if it is in use. */
  readonly restsFor: number;
}

class Upstream {
  readonly entry: ProxyEntry;
  readonly pool: string;
  readonly health = new Health();
  /** By site. */
  readonly sites: Recent<string, Health>;
  inFlight = 0;

  constructor(entry: ProxyEntry, pool: string, maxSites: number) {
    this.entry = entry;
    this.pool = pool;
    this.sites = new Recent(maxSites);
  }
}

interface Ask {
  readonly host: string;
  readonly country: string | undefined;
  readonly avoid: readonly string[];
}

export interface ManagedProxies extends Proxies {
  check(ask: Wish): void;
  list(): readonly ProxyInfo[];
}

const networkFailures = new Set(["connect_failed", "tls_failed", "reset", "timeout", "dns_failed"]);

export function createProxies(options: ProxiesOptions = {}): ManagedProxies {
  const { pools = [], directFirst = true, maxSites = 10_000, random = Math.random } = options;
  checkPools(pools);
  const byPool = new Map(
    pools.map(({ name, proxies }) => [
      name,
      proxies.map((entry) => new Upstream(entry, name, maxSites)),
    ]),
  );
  const all = [...byPool.values()].flat();
  const byId = new Map(all.map((proxy) => [proxy.entry.id, proxy]));
  const tierNames = [...(directFirst || pools.length === 0 ? ["direct"] : []), ...byPool.keys()];
  const tiers = new Recent<string, Tiers>(maxSites);
  /** Set and replaced each time a place becomes free. */
  let freed = new asyncio.Event();
  const now = (): number => asyncio.getRunningLoop().time();

  function siteHealth(proxy: Upstream, host: string): Health {
    return proxy.sites.getOrMake(host, () => new Health());
  }

  function fits(proxy: Upstream, ask: Ask): boolean {
    const { id, country } = proxy.entry;
    return (ask.country === undefined || country === ask.country) && !ask.avoid.includes(id);
  }

  function isHealthy(proxy: Upstream, host: string): boolean {
    const at = now();
    return proxy.health.isUsable(at) && (proxy.sites.get(host)?.isUsable(at) ?? true);
  }

  /** The better of two, by what a request is expected to take there, with its queue. */
  function pick(candidates: readonly Upstream[], host: string): Upstream | undefined {
    const draw = (): Upstream | undefined => candidates[Math.floor(random() * candidates.length)];
    const cost = (proxy: Upstream): number => {
      const own = proxy.sites.get(host)?.expectation ?? 0;
      return (proxy.health.expectation + own) * (1 + proxy.inFlight);
    };
    const [one, other] = [draw(), draw()];
    if (one === undefined || other === undefined) return one;
    return cost(other) < cost(one) ? other : one;
  }

  /** Waits for a place at one of the healthy proxies of `candidates`. */
  async function take(candidates: readonly Upstream[], ask: Ask, what: string): Promise<Upstream> {
    for (;;) {
      const healthy = candidates.filter((proxy) => isHealthy(proxy, ask.host));
      if (healthy.length === 0) throw noneHealthy(candidates, ask.host, what);
      const free = healthy.filter((proxy) => proxy.inFlight < proxy.entry.max);
      const chosen = pick(free, ask.host);
      if (chosen !== undefined) {
        chosen.inFlight++;
        chosen.health.begin();
        siteHealth(chosen, ask.host).begin();
        return chosen;
      }
      await freed.wait();
    }
  }

  function noneHealthy(candidates: readonly Upstream[], host: string, what: string): PageError {
    const at = now();
    const waits = candidates.map((proxy) => {
      const own = proxy.sites.get(host)?.restsUntil ?? Number.NEGATIVE_INFINITY;
      return Math.max(proxy.health.restsUntil, own) - at;
    });
    const soonest = Math.min(...waits);
    const retryAfter = Number.isFinite(soonest) ? Math.max(soonest, 0) : undefined;
    const why = candidates.length === 0 ? "has been tried" : "rests after failures";
    return new PageError("proxy_failed", `every proxy of ${what} ${why}`, {
      phase: "proxy",
      ...(retryAfter === undefined ? {} : { retryAfter }),
    });
  }

  function routeBy(proxy: Upstream, host: string, tier: number | undefined): Route {
    let isOver = false;
    return {
      id: proxy.entry.id,
      proxy: proxy.entry.upstream,
      end(outcome) {
        if (isOver) throw new Error("this route has ended already");
        isOver = true;
        proxy.inFlight--;
        learn(proxy, siteHealth(proxy, host), outcome);
        if (tier !== undefined) learnTier(host, tier, outcome);
        const before = freed;
        freed = new asyncio.Event();
        before.set();
      },
    };
  }

  function learn(proxy: Upstream, site: Health, outcome: Outcome): void {
    const { failure, status, latency } = outcome;
    if (outcome.cancelled === true) {
      proxy.health.forget();
      site.forget();
    } else if (failure === "proxy_failed") {
      proxy.health.failed(now());
      site.forget();
    } else if (status === undefined && failure !== undefined && networkFailures.has(failure)) {
      proxy.health.forget();
      site.failed(now());
    } else if (status !== undefined) {
      proxy.health.succeeded(latency);
      site.succeeded(latency);
    } else {
      proxy.health.forget();
      site.forget();
    }
  }

  function learnTier(host: string, tier: number, { failure, status, cancelled }: Outcome): void {
    if (cancelled === true || status !== undefined || failure === undefined) return;
    if (failure === "proxy_failed" || networkFailures.has(failure)) tiersOf(host).failed(tier);
  }

  function tiersOf(host: string): Tiers {
    return tiers.getOrMake(host, () => new Tiers(tierNames.length));
  }

  function direct(host: string, tier: number | undefined): Route {
    return {
      id: "direct",
      proxy: undefined,
      end: (outcome) => {
        if (tier !== undefined) learnTier(host, tier, outcome);
      },
    };
  }

  function check({ proxy, country, session }: Wish): void {
    const pool = proxy === "auto" ? all : byPool.get(proxy);
    if (proxy !== "direct" && pool === undefined) {
      throw bad(
        "proxy",
        `expected "auto", "direct" or the name of a pool, got ${JSON.stringify(proxy)}`,
      );
    }
    const bound = boundTo(session);
    const own = bound === undefined ? undefined : byId.get(bound);
    const way = own?.pool ?? bound;
    if (proxy !== "auto" && way !== undefined && way !== proxy)
      throw bad(
        "proxy",
        `this session goes by ${JSON.stringify(way)}, where its cookies were given, and not by ${JSON.stringify(proxy)}; open another session, or leave \`proxy\` out`,
      );
    if (country === undefined) return;
    const isThere = (upstream: Upstream): boolean =>
      upstream.entry.country === country.toLowerCase();
    if (pool === undefined) throw bad("country", "`country` needs a proxy");
    if (!pool.some(isThere)) throw bad("country", "there is no proxy in that country");
    if (bound !== undefined && (own === undefined || !isThere(own)))
      throw bad(
        "country",
        "this session goes by a way that is not in that country; open another session",
      );
  }

  async function route(ask: Parameters<Proxies["route"]>[0]): Promise<Route> {
    check(ask);
    const { session, avoid, proxy: wish } = ask;
    const country = ask.country?.toLowerCase();
    const host = ask.url.hostname;
    const wanted: Ask = { host, country, avoid };
    const bound = boundTo(session);
    if (bound !== undefined) return await routeOfSession(bound, wanted);

    const chosen = await (wish === "auto" ? auto(wanted) : byName(wish, wanted));
    const meanwhile = boundTo(session); // by another request, while this one waited for a place
    if (meanwhile !== undefined && meanwhile !== chosen.id) {
      chosen.end({ cancelled: true });
      return await route(ask);
    }
    session.routeId = chosen.id;
    return chosen;
  }

  /** A session stays with its proxy: its cookies were given to that address. */
  async function routeOfSession(id: string, ask: Ask): Promise<Route> {
    if (id === "direct") return direct(ask.host, undefined);
    const proxy = byId.get(id);
    const known = proxy === undefined || !fits(proxy, ask) ? [] : [proxy];
    return routeBy(await take(known, ask, "this session"), ask.host, undefined);
  }

  async function byName(name: string, ask: Ask): Promise<Route> {
    if (name === "direct") return direct(ask.host, undefined);
    const pool = (byPool.get(name) ?? []).filter((proxy) => fits(proxy, ask));
    return routeBy(await take(pool, ask, `the pool "${name}"`), ask.host, undefined);
  }

  async function auto(ask: Ask): Promise<Route> {
    if (ask.country !== undefined) {
      const there = all.filter((proxy) => fits(proxy, ask));
      return routeBy(await take(there, ask, "that country"), ask.host, undefined);
    }
    const chosen = tiersOf(ask.host).choose();
    // From the chosen tier on: a pool that has nobody left gives way to the dearer ones.
    for (let tier = chosen; tier < tierNames.length; tier++) {
      const name = tierNames[tier];
      if (name === "direct") {
        if (!ask.avoid.includes("direct") || tierNames.length === 1) return direct(ask.host, tier);
        continue;
      }
      const pool = (byPool.get(name ?? "") ?? []).filter((proxy) => fits(proxy, ask));
      if (!pool.some((proxy) => isHealthy(proxy, ask.host)) && tier + 1 < tierNames.length)
        continue;
      return routeBy(await take(pool, ask, `the pool "${name}"`), ask.host, tier);
    }
    return direct(ask.host, chosen); // only the direct way is left
  }

  return {
    check,
    route,
    list: () => {
      const at = now();
      return all.map(({ entry, pool, health, inFlight }) => ({
        id: entry.id,
        pool,
        country: entry.country,
        cost: entry.cost,
        inFlight,
        failing: health.failing,
        latency: health.latency,
        restsFor: Math.max(health.restsUntil - at, 0),
      }));
    },
  };
}

/** The id of the route that a session is bound to, which only one with a name is. */
function boundTo({ name, routeId }: Session): string | undefined {
  return name === undefined ? undefined : routeId;
}

function bad(parameter: string, message: string): PageError {
  return new PageError("bad_request", message, { parameter });
}

function checkPools(pools: readonly ProxyPool[]): void {
  const names = new Set<string>(["direct", "auto"]);
  const ids = new Set<string>(["direct"]);
  for (const { name, proxies } of pools) {
    if (!/^[\w.-]{1,64}$/.test(name)) throw new TypeError("a pool's name is a word");
    if (names.has(name)) throw new TypeError(`the name "${name}" of a pool is taken`);
    names.add(name);
    if (proxies.length === 0) throw new TypeError(`the pool "${name}" is empty`);
    for (const { id } of proxies) {
      if (ids.has(id)) throw new TypeError(`two proxies have the id "${id}"`);
      ids.add(id);
    }
  }
}
