/**
 * Lists of proxies, a line each. The address comes in one of the forms in which proxies are sold,
 * and words of the form `key=value` may follow:
 *
 *     # comment
 *     http://user:password@proxy.example:8080 country=de cost=3
 *     socks5://proxy.example:1080 id=office max=4 resolve=remote
 *     proxy.example:8080:user:password
 *     user:password@proxy.example:8080
 *     192.0.2.7:8080
 *
 * No message repeats a line: there are passwords in it.
 */

import type { UpstreamProxy } from "../contract/parts.ts";

/** One proxy of a list. */
export interface ProxyEntry {
  /** May be shown to anybody. */
  readonly id: string;
  readonly upstream: UpstreamProxy;
  /** Two letters, in lower case. */
  readonly country: string | undefined;
  /** What a request costs by it, in the operator's unit. */
  readonly cost: number;
  /** How many requests at a time. */
  readonly max: number;
}

/** A line that is no proxy. */
export class ProxyLineError extends TypeError {
  override readonly name = "ProxyLineError";
  readonly code = "bad_proxy_line";
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

const MAX_LINES = 100_000;
const protocols = new Set(["http", "https", "socks5"]);
const ports: Readonly<Record<string, number>> = { http: 80, https: 443, socks5: 1080 };
const keys = new Set(["id", "country", "cost", "max", "resolve", "local"]);

/** Reads a list. `prefix` is what the ids of lines without one begin with. */
export function parseProxies(text: string, prefix = "proxy"): readonly ProxyEntry[] {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.length > MAX_LINES) throw new ProxyLineError(MAX_LINES + 1, "the list is too long");
  const entries: ProxyEntry[] = [];
  const ids = new Set<string>();
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const entry = parseLine(line, index + 1, `${prefix}-${index + 1}`);
    if (ids.has(entry.id)) throw new ProxyLineError(index + 1, `the id "${entry.id}" is taken`);
    ids.add(entry.id);
    entries.push(entry);
  }
  return entries;
}

function parseLine(text: string, line: number, id: string): ProxyEntry {
  const [address = "", ...words] = text.split(/\s+/);
  const given = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf("=");
    const key = word.slice(0, at);
    if (at < 1 || !keys.has(key)) {
      throw new ProxyLineError(
        line,
        `after the address come ${[...keys].join(", ")}, as key=value`,
      );
    }
    if (given.has(key)) throw new ProxyLineError(line, `"${key}" is given twice`);
    given.set(key, word.slice(at + 1));
  }
  const name = given.get("id") ?? id;
  if (!/^[\w.-]{1,64}$/.test(name)) throw new ProxyLineError(line, '"id" is no word');
  const country = given.get("country")?.toLowerCase();
  if (country !== undefined && !/^[a-z]{2}$/.test(country)) {
    throw new ProxyLineError(line, '"country" has two letters (ISO 3166)');
  }
  const cost = Number(given.get("cost") ?? 1);
  if (!(cost >= 0 && cost < Number.POSITIVE_INFINITY)) {
    throw new ProxyLineError(line, '"cost" is a number, 0 or more');
  }
  const max = Number(given.get("max") ?? 100);
  if (!(Number.isInteger(max) && max >= 1)) {
    throw new ProxyLineError(line, '"max" is a whole number from 1 on');
  }
  const resolve: string = given.get("resolve") ?? "local";
  if (resolve !== "local" && resolve !== "remote") {
    throw new ProxyLineError(line, '"resolve" is "local" or "remote"');
  }
  const localAddress = given.get("local");
  const upstream = {
    ...parseAddress(address, line),
    ...(resolve === "remote" ? { resolve: "remote" as const } : {}),
    ...(localAddress === undefined ? {} : { localAddress }),
  };
  return { id: name, upstream, country, cost, max };
}

/** The forms with a scheme are URLs. The others become one. */
function parseAddress(text: string, line: number): UpstreamProxy {
  const sold = /^([^:@/\s]+|\[[^\]]+\]):(\d+):([^:]+):(.+)$/.exec(text);
  let href = text;
  if (sold !== null) {
    const [, host, port, user = "", password = ""] = sold;
    href = `http://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}`;
  } else if (!text.includes("://")) href = `http://${text}`;
  // WHATWG knows the ports of http and https only, and lower-cases hosts only of those it knows.
  const [scheme = "", rest = ""] = href.split(/:\/\/(.*)/s);
  const protocol = scheme.toLowerCase().replace(/^socks5h$|^socks$/, "socks5");
  if (!isProtocol(protocol)) {
    throw new ProxyLineError(line, "a proxy is http://, https:// or socks5://");
  }
  let url: URL;
  try {
    url = new URL(`http://${rest}`);
  } catch {
    throw new ProxyLineError(line, "the address cannot be read");
  }
  if (
    url.hostname === "" ||
    !["", "/"].includes(url.pathname) ||
    url.search !== "" ||
    url.hash !== ""
  ) {
    throw new ProxyLineError(
      line,
      "the address is scheme, user, password, host and port, and nothing else",
    );
  }
  const port = /:\d+\/?$/.test(rest) && url.port === "" ? 80 : Number(url.port || ports[protocol]);
  if (port === 0) throw new ProxyLineError(line, "the port is 0");
  const username = decode(url.username, line);
  const password = decode(url.password, line);
  return {
    protocol,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

function isProtocol(text: string): text is UpstreamProxy["protocol"] {
  return protocols.has(text);
}

function decode(text: string, line: number): string | undefined {
  if (text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ProxyLineError(line, "user or password has a % that encodes nothing");
  }
}
