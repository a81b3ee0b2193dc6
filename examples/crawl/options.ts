// The command line. `parseArgs` of node:util cuts it into tokens; what is accepted, and what a
// wrong argument is answered, is said here: what was expected, what was found, what to do.

import { parseArgs } from "node:util";

export interface Options {
  /** The site to crawl; `undefined` stands for the bundled one. */
  readonly start: URL | undefined;
  readonly limit: number;
  readonly workers: number;
  readonly perHost: number;
  readonly requestSeconds: number;
  readonly retries: number;
}

export const usage = `Usage: npm start [-- [address] [options]]
       node examples/crawl/main.ts [address] [options]

Crawls a web site, and says what it found. Without an address it crawls a
bundled site on this machine, some 300 pages with all the usual faults.

  address          where to start, for example https://example.org; the crawl
                   stays on that host and honours its robots.txt
  --limit N        stop after N pages (default: no limit)
  --workers N      requests under way at most, 1 to 1000 (default: 20)
  --per-host N     requests under way at most at one host (default: 8)
  --timeout S      seconds that one request may take (default: 1.5 for the
                   bundled site, 10 for others)
  --retries N      further attempts after a passing failure (default: 2)
  --help           print this text

Exit status: 0 done, 1 the first page could not be loaded, 2 wrong arguments;
Ctrl-C ends the crawl with a summary of what was done until then.`;

/** Wrong arguments: the user's mistake, not the program's. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const values = ["limit", "workers", "per-host", "timeout", "retries"] as const;
type ValueName = (typeof values)[number];

/**
 * Reads the arguments after the program's name.
 *
 * @returns "help" if that was asked for.
 * @throws {UsageError} if they are wrong.
 */
export function parseOptions(commandLine: readonly string[]): Options | "help" {
  // Not strict: the errors are worded here.
  const { tokens } = parseArgs({
    args: [...commandLine],
    options: {
      ...Object.fromEntries(values.map((name) => [name, { type: "string" as const }])),
      help: { type: "boolean", short: "h" },
    },
    strict: false,
    tokens: true,
  });
  const given = new Map<ValueName, string>();
  const addresses: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") {
      addresses.push(token.value);
    } else if (token.kind === "option") {
      if (token.name === "help") return "help";
      const name = values.find((known) => known === token.name);
      if (name === undefined)
        throw new UsageError(`${token.rawName} is not an option of this program`);
      if (token.value === undefined)
        throw new UsageError(`${token.rawName} expects a value, found none`);
      given.set(name, token.value);
    }
  }
  const start = parseAddress(addresses);
  const bundledSite = start === undefined;
  return {
    start,
    limit: wholeNumber(given, "limit", 1, 1_000_000, Number.POSITIVE_INFINITY),
    workers: wholeNumber(given, "workers", 1, 1000, 20),
    perHost: wholeNumber(given, "per-host", 1, 1000, 8),
    requestSeconds: secondsOf(given, "timeout", bundledSite ? 1.5 : 10),
    retries: wholeNumber(given, "retries", 0, 20, 2),
  };
}

function parseAddress(addresses: readonly string[]): URL | undefined {
  const [address, ...others] = addresses;
  if (address === undefined) return undefined;
  if (others.length > 0)
    throw new UsageError(
      `one address is expected, found ${addresses.length}: ${addresses.join(" ")}`,
    );
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  const problem = `an address that begins with http:// or https:// is expected, found "${address}"`;
  const cure =
    URL.canParse(`https://${address}`) && !address.includes("://")
      ? `. Try https://${address}`
      : "";
  throw new UsageError(problem + cure);
}

type Given = ReadonlyMap<ValueName, string>;

function wholeNumber(
  given: Given,
  name: ValueName,
  lowest: number,
  highest: number,
  fallback: number,
): number {
  const text = given.get(name);
  if (text === undefined) return fallback;
  const number = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= lowest && number <= highest) return number;
  throw new UsageError(
    `--${name} expects a whole number from ${lowest} to ${highest}, found "${text}"`,
  );
}

function secondsOf(given: Given, name: ValueName, fallback: number): number {
  const text = given.get(name);
  if (text === undefined) return fallback;
  const seconds = /^[0-9]*\.?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 0.01 && seconds <= 600) return seconds;
  throw new UsageError(`--${name} expects a number of seconds from 0.01 to 600, found "${text}"`);
}
