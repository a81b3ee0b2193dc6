/**
 * Which addresses may be connected to. The rule is the other way round from a list of what is
 * forbidden: an address has to be known as one of the public internet. IPv6 has forms that carry an
 * IPv4 address, and a gateway on the way may act on that one, so both have to be public.
 */

import ipaddr from "ipaddr.js";
import { PageError } from "../contract/errors.ts";

type Parsed = ipaddr.IPv4 | ipaddr.IPv6;

/** A range of addresses: `127.0.1.0/24`, `fd00::/8`, or one address. */
export interface Range {
  readonly base: Parsed;
  readonly bits: number;
}

/** @throws RangeError for what is no range. */
export function parseRange(text: string): Range {
  try {
    if (!text.includes("/")) {
      const base = ipaddr.parse(text);
      return { base, bits: base.kind() === "ipv4" ? 32 : 128 };
    }
    const [base, bits] = ipaddr.parseCIDR(text);
    return { base, bits };
  } catch {
    throw new RangeError(
      `expected an address or a range such as "10.0.0.0/8", got ${JSON.stringify(text)}`,
    );
  }
}

/**
 * Whether a connection to `address` may be made: it is public, or in one of the `allowed` ranges,
 * and in none that is `denied`. What is no address is not allowed.
 */
export function isAllowed(
  address: string,
  allowed: readonly Range[],
  denied: readonly Range[] = [],
): boolean {
  // ipaddr.js reads "127.1" and "0x7f000001"; an address of a name server is never spelt so.
  if (!ipaddr.IPv6.isValid(address) && !ipaddr.IPv4.isValidFourPartDecimal(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed instanceof ipaddr.IPv6 && parsed.zoneId !== undefined) return false;
  const isIn = (ranges: readonly Range[], face: Parsed): boolean =>
    ranges.some((range) => has(range, face));
  return faces(parsed).every(
    (face) => (isPublic(face) || isIn(allowed, face)) && !isIn(denied, face),
  );
}

/** The address of a literal host, as a URL has it; undefined if it is a name. */
export function literalOf(hostname: string): string | undefined {
  if (hostname.startsWith("[")) return hostname.slice(1, -1);
  // A URL spells an IPv4 address in no other way, and no name looks like that (URL standard, 3.5).
  return /^\d+\.\d+\.\d+\.\d+$/.test(hostname) ? hostname : undefined;
}

function has(range: Range, address: Parsed): boolean {
  return address.kind() === range.base.kind() && address.match(range.base, range.bits);
}

/** A mapped address is its IPv4 address. One that only carries an IPv4 address is both. */
function faces(address: Parsed): readonly Parsed[] {
  if (address instanceof ipaddr.IPv4) return [address];
  if (address.isIPv4MappedAddress()) return [address.toIPv4Address()];
  const bytes = address.toByteArray();
  const carried = carriedBy(bytes);
  return carried === undefined ? [address] : [address, carried];
}

const startsWith = (bytes: readonly number[], start: readonly number[]): boolean =>
  start.every((byte, index) => bytes[index] === byte);
const ipv4 = (bytes: readonly number[]): ipaddr.IPv4 => new ipaddr.IPv4([...bytes]);

function carriedBy(bytes: readonly number[]): ipaddr.IPv4 | undefined {
  // NAT64, RFC 6052: the well-known prefix, and RFC 8215: the local one.
  if (startsWith(bytes, [0x00, 0x64, 0xff, 0x9b])) return ipv4(bytes.slice(12));
  // 6to4, RFC 3056.
  if (startsWith(bytes, [0x20, 0x02])) return ipv4(bytes.slice(2, 6));
  // Teredo, RFC 4380: the client's address, each bit the other way round.
  if (startsWith(bytes, [0x20, 0x01, 0, 0])) return ipv4(bytes.slice(12).map((byte) => byte ^ 255));
  // ISATAP, RFC 5214: 5efe between the prefix and the address, its universal bit set or not.
  if (startsWith(bytes.slice(9), [0, 0x5e, 0xfe]) && ((bytes[8] ?? 1) & 0xfd) === 0)
    return ipv4(bytes.slice(12));
  // IPv4-compatible, RFC 4291, 2.5.5.1, and IPv4-translated, RFC 2765. Both are out of use. `::`
  // and `::1` are neither.
  const isLong = bytes.slice(8, 15).some((byte) => byte > 0) || (bytes[15] ?? 0) > 1;
  if (bytes.slice(0, 8).every((byte) => byte === 0) && isLong) return ipv4(bytes.slice(12));
  return undefined;
}

/** Of IPv6, 2000::/3 is all that was ever given to hosts of the internet (RFC 4291, 2.4; IANA). */
const globalUnicast = parseRange("2000::/3");

/**
 * Is given to the public internet by the registries, and is inside all the same: the host of a
 * virtual machine of Azure answers there, and gives the machine its secrets.
 */
const insideOfClouds = [parseRange("168.63.129.16")];

function isPublic(address: Parsed): boolean {
  if (address.range() !== "unicast") return false;
  if (insideOfClouds.some((range) => has(range, address))) return false;
  return address.kind() === "ipv4" || has(globalUnicast, address);
}

/** The one answer to a forbidden address, whichever it is and however it was found. */
export function blockedAddress(url: string): PageError {
  return new PageError(
    "blocked_address",
    "the host is not on the public internet, and this service does not connect to other hosts",
    { phase: "resolve", url },
  );
}
