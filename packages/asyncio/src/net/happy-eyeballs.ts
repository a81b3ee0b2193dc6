/**
 * Happy Eyeballs: a host that has several addresses is connected to by the first that answers, and
 * one that does not answer costs a fraction of a second instead of minutes. The attempts are
 * branches of a staggered race, so the losers are cancelled and awaited, and a cancellation from
 * outside reaches all of them.
 *
 *     0.00 s  connect to 2001:db8::1 ─────────────────────────────────── no answer: cancelled
 *     0.25 s               connect to 192.0.2.1 ─── answers: wins
 *     0.50 s                            (connect to 2001:db8::2)          not begun
 *
 * Sources: RFC 8305; asyncio's create_connection (S150).
 */

import { advice, argumentError, checkSeconds, rangeError } from "../errors/errors.ts";
import {
  type Address,
  type ByteStream,
  type ConnectOptions,
  type Destination,
  describeAddress,
  type Network,
} from "../streams/network.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import { stagger } from "../tasks/race.ts";
import { checkHost } from "./host-name.ts";

type HostAddresses = readonly (string | { readonly address: string })[];

/** Gives the addresses of a host, in the order in which to try them. */
export type Resolver = (
  hostname: string,
  family: 0 | 4 | 6,
) => HostAddresses | PromiseLike<HostAddresses>;

/** How a connection finds its address. */
export interface AddressOptions {
  /** 4 or 6 uses addresses of one family only. @default 0, both */
  readonly family?: 0 | 4 | 6 | undefined;
  /**
   * Seconds after which the next address is tried too, if the address before it has neither
   * answered nor failed. Infinity waits for the failure. @default 0.25
   */
  readonly happyEyeballsDelay?: number | undefined;
  /**
   * How many addresses of the first family come before those of the families alternate; 0 leaves
   * the order of the resolver.
   * @default 1
   */
  readonly interleave?: number | undefined;
  /**
   * Finds the addresses instead of the host's resolver. It runs in the caller's scope, as any
   * coroutine; wrap foreign work: `(name) => cancellable(() => dns.resolve6(name))`.
   */
  readonly resolver?: Resolver | undefined;
}

/** What it takes of a network. */
export type AddressNetwork = Pick<Network, "connect" | "lookup">;

/** RFC 8305, section 5: the recommended Connection Attempt Delay. */
const DEFAULT_DELAY = 0.25;
/**
 * Errors that say that this machine has no route to an address. They say nothing about the host.
 */
const NO_WAY: ReadonlySet<unknown> = new Set([
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
]);

/** @throws TypeError, RangeError for options that make no sense. */
export function checkAddressOptions(api: string, options: AddressOptions): void {
  const { family = 0, happyEyeballsDelay = 0, interleave = 0, resolver } = options;
  if (family !== 0 && family !== 4 && family !== 6)
    throw argumentError(api, "`family` to be 0, 4 or 6", family);
  checkSeconds(api, "`happyEyeballsDelay` in seconds", happyEyeballsDelay);
  if (typeof interleave !== "number")
    throw argumentError(api, "`interleave` to be a number of addresses", interleave);
  if (!(Number.isInteger(interleave) && interleave >= 0))
    throw rangeError(api, "`interleave` of 0 addresses or more", interleave);
  if (resolver !== undefined && typeof resolver !== "function")
    throw argumentError(api, "`resolver` to be a function that returns a promise", resolver);
}

/**
 * Connects to one of the addresses of `host`. If it is cancelled, there is no connection. If the
 * only address fails, its own error is thrown. If several fail, an AggregateError is thrown. Its
 * `code` is that of one attempt, so code that asks for "ECONNREFUSED" need not know how many
 * addresses a host has.
 */
export async function connectToHost(
  network: AddressNetwork,
  host: string,
  port: number,
  options: AddressOptions & ConnectOptions = {},
): Promise<ByteStream> {
  const addresses = await addressesOf(network, host, port, options);
  const [first] = addresses;
  if (first !== undefined && addresses.length === 1) return await network.connect(first, options);
  const attempts = addresses.map((address) => () => network.connect(address, options));
  const delay = options.happyEyeballsDelay ?? DEFAULT_DELAY;
  try {
    const [stream] = await stagger(attempts, delay, (loser) => loser.close());
    return stream;
  } catch (error) {
    throw error instanceof ExceptionGroup ? allFailed(host, port, addresses, error.errors) : error;
  }
}

/** What to try, in order. */
async function addressesOf(
  network: AddressNetwork,
  host: string,
  port: number,
  options: AddressOptions & ConnectOptions,
): Promise<readonly Destination[]> {
  const { family = 0, interleave = 1, resolver, localAddress } = options;
  const isLiteral = familyOf(host) !== 0;
  const answers = isLiteral
    ? [host]
    : await (resolver === undefined ? network.lookup(host, family) : resolver(host, family));
  if (!Array.isArray(answers))
    throw argumentError("`resolver`", "to give an array of addresses", answers);
  const found = new Set<string>();
  for (const answer of answers) {
    const address = typeof answer === "string" ? answer : answer?.address;
    if (typeof address !== "string")
      throw argumentError("`resolver`", "to give addresses, or objects with an `address`", answer);
    checkHost("`resolver`", "to give addresses", address);
    found.add(address);
  }
  const local = localAddress?.host === undefined ? 0 : familyOf(localAddress.host);
  const usable = [...found].filter((address) => {
    const its = familyOf(address);
    return its === 0 || [family, local].every((wanted) => wanted === 0 || wanted === its);
  });
  if (usable.length === 0) throw noAddress(host, [...found], family, localAddress?.host);
  return interleaved(usable, interleave).map((address) => ({
    host: address,
    port,
    hostname: host,
  }));
}

/** 0 for what is no address: hosts of a simulated network are called by names. */
function familyOf(address: string): 0 | 4 | 6 {
  if (address.includes(":")) return 6;
  return /^\d+\.\d+\.\d+\.\d+$/.test(address) ? 4 : 0;
}

/**
 * The families in turn, each in its own order; the first one gets a lead of `lead` addresses (RFC
 * 8305, section 4).
 */
function interleaved(addresses: readonly string[], lead: number): readonly string[] {
  if (lead === 0) return addresses;
  const kinds = new Set(addresses.map(familyOf));
  const families = [...kinds].map((kind) => addresses.filter((one) => familyOf(one) === kind));
  const ordered = families[0]?.splice(0, lead - 1) ?? [];
  while (ordered.length < addresses.length)
    for (const family of families) ordered.push(...family.splice(0, 1));
  return ordered;
}

function noAddress(
  host: string,
  found: readonly string[],
  family: 0 | 4 | 6,
  local: string | undefined,
): Error {
  const wanted = family === 0 ? "address" : `IPv${family} address`;
  const from = local === undefined ? "" : ` that can be reached from \`localAddress\` ${local}`;
  const others = found.length === 0 ? "" : `, but ${found.join(", ")}`;
  const cure =
    found.length === 0
      ? ""
      : local === undefined
        ? advice("Leave out `family`, or pass another")
        : advice("Leave out `localAddress`, or pass another");
  const error = new Error(
    `\`openConnection\` found no ${wanted} of ${host}${from}${others}${cure}`,
  );
  return Object.assign(error, { code: "ENOTFOUND", syscall: "getaddrinfo", hostname: host });
}

function allFailed(
  host: string,
  port: number,
  addresses: readonly Address[],
  errors: readonly unknown[],
): AggregateError {
  const codes = errors.map((error) => (error as { code?: unknown }).code);
  const attempts = addresses.map(
    (address, index) => `${describeAddress(address)} ${codes[index] ?? String(errors[index])}`,
  );
  const error = new AggregateError(
    errors,
    `\`openConnection\` found no way to ${describeAddress({ host, port })}: all ${errors.length} addresses have failed: ${attempts.join(", ")}`,
  );
  const code = codes.find((code) => !NO_WAY.has(code)) ?? codes[0];
  return Object.assign(error, { code, syscall: "connect", hostname: host, port });
}
