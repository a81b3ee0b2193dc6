/**
 * Which addresses a server listens on: a name may have several, and all of them are meant (S144's
 * create_server does so).
 */

import { rangeError } from "../errors/errors.ts";
import type { Listener, ListenOptions, StreamNetwork } from "../streams/network.ts";
import { checkHost } from "./host-name.ts";

/**
 * Errors of a machine that lacks an address of its own name, for example because IPv6 is switched
 * off.
 */
const ABSENT: readonly unknown[] = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];

/** The hosts of a server's options. @throws TypeError, RangeError for what is none. */
export function hostsOf(api: string, host: unknown): readonly (string | undefined)[] {
  if (host === undefined) return [undefined];
  const hosts: readonly unknown[] = Array.isArray(host) ? host : [host];
  if (hosts.length === 0) throw rangeError(api, "a host or more", host);
  return hosts.map((one) => {
    checkHost(api, "the address or name of a host, or several", one);
    return one;
  });
}

/** What a host stands for. */
interface Place {
  readonly host: string | undefined;
  /** True if it is known from elsewhere that this is an address of the machine. */
  readonly isFound: boolean;
}

/**
 * Listens on all addresses of all `hosts`, each once. With port 0, those of one name share their
 * port, if it is free on all of them: a client that connects to the name may come to any.
 */
export async function listenOnAll(
  network: Pick<StreamNetwork, "listen" | "lookup">,
  options: ListenOptions,
  hosts: readonly (string | undefined)[],
): Promise<Listener[]> {
  const names = await placesOf(network, hosts);
  const all = [...names.values()].flat();
  // An IPv6 address that takes IPv4 as well would be in the way of the IPv4 addresses.
  const hasIpv4 = all.some(({ host }) => host !== undefined && !host.includes(":"));
  const { ipv6Only = all.length > 1 && hasIpv4 ? true : undefined } = options;
  const listeners: Listener[] = [];
  try {
    for (const places of names.values())
      await listenOnName(network, { ...options, ipv6Only }, places, listeners);
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

/** The addresses of each host. */
async function placesOf(
  network: Pick<StreamNetwork, "lookup">,
  hosts: readonly (string | undefined)[],
): Promise<ReadonlyMap<string | undefined, Place[]>> {
  const places = new Map<string | undefined, Place[]>();
  const seen = new Set<string | undefined>();
  for (const host of new Set(hosts)) {
    // Nothing is every address of the machine; that is for the system to know.
    const found = host === undefined || host === "" ? [host] : await network.lookup(host);
    const fresh = new Set(found.filter((address) => !seen.has(address)));
    for (const address of fresh) seen.add(address);
    places.set(
      host,
      [...fresh].map((address) => ({ host: address, isFound: address !== host })),
    );
  }
  return places;
}

/** Adds its listeners to `listeners`, which are closed if it fails. */
async function listenOnName(
  network: Pick<StreamNetwork, "listen">,
  options: ListenOptions,
  places: readonly Place[],
  listeners: Listener[],
): Promise<void> {
  let port = options.port ?? 0;
  let absent: unknown;
  let isAbsent = places.length > 0;
  for (const { host, isFound } of places) {
    try {
      const listener = await listenAt(network, { ...options, host, port }, options.port ?? 0);
      listeners.push(listener);
      port = listener.address.port;
      isAbsent = false;
    } catch (error) {
      if (!isFound || !ABSENT.includes(codeOf(error))) throw error;
      absent ??= error;
    }
  }
  if (isAbsent) throw absent;
}

/** At the port of the addresses before it, or at `wanted` if that is taken here. */
async function listenAt(
  network: Pick<StreamNetwork, "listen">,
  at: ListenOptions,
  wanted: number,
): Promise<Listener> {
  try {
    return await network.listen(at);
  } catch (error) {
    if (at.port === wanted || codeOf(error) !== "EADDRINUSE") throw error;
    return await network.listen({ ...at, port: wanted });
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code;
}
