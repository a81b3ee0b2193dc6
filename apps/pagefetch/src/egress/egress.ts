/**
 * The one way out. Pages, robots files, callbacks and proxies go through `dial`, and `dial` takes a
 * `Target` only, which nothing but `resolve` makes: the name was resolved once, every address of
 * the answer was checked, and the connection goes to one of these. What the name server says the
 * second time is never asked.
 *
 * Whatever `dial` opens belongs to the scope that called it until it has returned. Cancelled or
 * failed, it has left no socket.
 */

import type { Duplex } from "node:stream";
import type { SecureContext } from "node:tls";
import { CancelledError, staggeredRace } from "asyncio-ts";
import { PageError } from "../contract/errors.ts";
import { hostNamed, withoutDot } from "../contract/hosts.ts";
import type { UpstreamProxy } from "../contract/parts.ts";
import { blockedAddress, isAllowed, literalOf, parseRange, type Range } from "./address.ts";
import { dnsResolver, type Resolver } from "./resolve.ts";
import { startTls, trusting } from "./tls.ts";
import { NoTunnel, tunnel } from "./tunnel.ts";
import { machineWire, type RawSocket, type Wire } from "./wire.ts";

export interface EgressOptions {
  /** @default the name servers of the machine */
  readonly resolver?: Resolver | undefined;
  /** @default the machine's network */
  readonly wire?: Wire | undefined;
  /** Ranges that may be fetched from although they are not public: an intranet. @default none */
  readonly allow?: readonly string[] | undefined;
  /**
   * Ranges that nothing is fetched from although they are public: addresses of the operator's own,
   * or a prefix of NAT64, behind which is the network inside. They win over `allow`. @default none
   */
  readonly deny?: readonly string[] | undefined;
  /** Hosts that nothing is fetched from, with all below them: their owners have asked for it. */
  readonly refuse?: readonly string[] | undefined;
  /** Ranges in which proxies may be, although they are not public. @default none */
  readonly allowProxies?: readonly string[] | undefined;
  /** Ports that may be connected to; "any" for all. Proxies may be anywhere. @default 80 and 443 */
  readonly ports?: readonly number[] | "any" | undefined;
  /** Certificates of authorities, as PEM, besides those that Node knows. @default none */
  readonly authorities?: readonly string[] | undefined;
}

/** A host that may be connected to. Made by `resolve` alone. */
export interface Target {
  readonly url: URL;
  readonly port: number;
  readonly isSecure: boolean;
  /** At least one; each was checked. */
  readonly addresses: readonly string[];
}

/** A connection as HTTP needs it. */
export interface Line {
  /** Under TLS, if the target is. */
  readonly socket: Duplex;
  /** The socket that bytes are counted at. */
  readonly raw: RawSocket;
  /** Which of the addresses it goes to; the first one if a proxy decides. */
  readonly address: string;
}

/** Of a name (RFC 1035, 2.3.4), as text. A tunnel has one byte for the length. */
const LONGEST_NAME = 253;
/** Seconds after which the next address is tried as well (RFC 8305). */
const STAGGER = 0.25;

const checked = new WeakSet<Target>();

/** Everything below a host is refused with it, so a pattern is a mistake, and would match nothing. */
function hostOf(name: string): string {
  const host = hostNamed(name);
  if (host !== undefined) return host;
  throw new RangeError(
    `\`refuse\` expects names of hosts, such as "example.com" for it and all below it, got ${JSON.stringify(name)}`,
  );
}

/** Addresses that were found good lately: reading one costs a twentieth of a small page. */
class Checks {
  readonly #allowed: readonly Range[];
  readonly #denied: readonly Range[];
  #good = new Set<string>();

  constructor(allowed: readonly string[], denied: readonly string[] = []) {
    this.#allowed = allowed.map(parseRange);
    this.#denied = denied.map(parseRange);
  }

  allows(address: string): boolean {
    if (this.#good.has(address)) return true;
    if (!isAllowed(address, this.#allowed, this.#denied)) return false;
    if (this.#good.size >= 1000) this.#good = new Set();
    this.#good.add(address);
    return true;
  }
}

export class Egress {
  readonly wire: Wire;
  readonly #resolver: Resolver;
  readonly #allowed: Checks;
  readonly #allowedProxies: Checks;
  readonly #ports: ReadonlySet<number> | undefined;
  readonly #refused: ReadonlySet<string>;
  readonly #context: SecureContext | undefined;

  /** @throws RangeError for what is no range, or no name of a host. */
  constructor(options: EgressOptions = {}) {
    const { ports = [80, 443], allow = [], allowProxies = [], authorities = [] } = options;
    const { deny = [], refuse = [] } = options;
    this.wire = options.wire ?? machineWire();
    this.#resolver = options.resolver ?? dnsResolver();
    this.#allowed = new Checks(allow, deny);
    this.#allowedProxies = new Checks(allowProxies);
    this.#refused = new Set(refuse.map(hostOf));
    this.#ports = ports === "any" ? undefined : new Set(ports);
    this.#context = trusting(authorities);
  }

  /**
   * Waits for the addresses of the host of `url`.
   * @throws PageError `blocked_address` if one of them, or the port, is not allowed; `dns_failed`;
   * `policy_denied` for a host that is refused; `bad_request` if it is no URL of HTTP.
   */
  async resolve(url: URL): Promise<Target> {
    const isSecure = url.protocol === "https:";
    if (!isSecure && url.protocol !== "http:")
      throw new PageError("bad_request", `\`${url.protocol}\` is neither http: nor https:`, {
        phase: "resolve",
        url: url.href,
      });
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
    if (this.#ports !== undefined && !this.#ports.has(port))
      throw new PageError("blocked_address", `this service does not connect to port ${port}`, {
        phase: "resolve",
        url: url.href,
      });
    this.#checkRefused(url);
    const addresses = await this.#lookUp(url.hostname, this.#allowed, url.href);
    const target: Target = { url, port, isSecure, addresses };
    checked.add(target);
    return target;
  }

  #checkRefused(url: URL): void {
    if (this.#refused.size === 0) return;
    for (let name = withoutDot(url.hostname); name !== ""; name = name.replace(/^[^.]*\.?/, ""))
      if (this.#refused.has(name))
        throw new PageError("policy_denied", `this service does not fetch from ${name}`, {
          phase: "resolve",
          url: url.href,
        });
  }

  /**
   * Connects to `target`, through `proxy` if there is one, with TLS if the URL has it. The caller
   * owns the connection and destroys it.
   * @throws PageError `connect_failed`, `tls_failed`, `proxy_failed`, `dns_failed`,
   * `blocked_address` (of the proxy).
   */
  async dial(target: Target, proxy?: UpstreamProxy | undefined): Promise<Line> {
    if (!checked.has(target)) throw new TypeError("`dial` takes what `resolve` has given");
    const { url, isSecure } = target;
    const opened: Duplex[] = [];
    try {
      const { raw, far, address } =
        proxy === undefined
          ? await this.#dialDirectly(target)
          : await this.#dialThrough(target, proxy, opened);
      opened.push(raw, far);
      if (!isSecure) return { socket: far, raw, address };
      const socket = await this.#secured(far, url);
      return { socket, raw, address };
    } catch (error) {
      for (const socket of opened) socket.destroy();
      throw error;
    }
  }

  async #lookUp(host: string, checks: Checks, url: string): Promise<readonly string[]> {
    const literal = literalOf(host);
    const found = literal === undefined ? await this.#ask(host, url) : [literal];
    if (found.length === 0)
      throw new PageError("dns_failed", "there is no host of that name", { phase: "resolve", url });
    // One bad address condemns the name: a list with a private one in it is an attempt to get there.
    if (!found.every((address) => checks.allows(address))) throw blockedAddress(url);
    return [...new Set(found)];
  }

  async #ask(host: string, url: string): Promise<readonly string[]> {
    const name = host.toLowerCase().replace(/\.$/, "");
    if (name.length > LONGEST_NAME) return []; // a resolver that is given need not look
    // Such names are this machine, whatever a name server says (RFC 6761).
    if (name === "localhost" || name.endsWith(".localhost")) return ["127.0.0.1", "::1"];
    try {
      return await this.#resolver(name);
    } catch (cause) {
      if (cause instanceof CancelledError || cause instanceof PageError) throw cause;
      const code = codeOf(cause);
      const message = `the name of the host could not be resolved${code}`;
      throw new PageError("dns_failed", message, { phase: "resolve", url });
    }
  }

  async #dialDirectly(target: Target): Promise<Dialled> {
    const { url, port } = target;
    try {
      const [raw, address] = await this.#connect(target.addresses, port);
      return { raw, far: raw, address };
    } catch (cause) {
      if (cause instanceof CancelledError) throw cause;
      const message = `the host could not be connected to${codeOf(cause)}`;
      throw new PageError("connect_failed", message, { phase: "connect", url: url.href });
    }
  }

  async #dialThrough(target: Target, proxy: UpstreamProxy, opened: Duplex[]): Promise<Dialled> {
    const { url, port } = target;
    // A proxy may have no IPv6.
    const address = target.addresses.find((one) => !one.includes(":")) ?? target.addresses[0] ?? "";
    const host = proxy.resolve === "remote" ? url.hostname.replace(/^\[|\]$/g, "") : address;
    try {
      const near = await this.#lookUp(bracketed(proxy.host), this.#allowedProxies, url.href);
      const [raw] = await this.#connect(near, proxy.port, proxy.localAddress);
      opened.push(raw);
      const sent = (): void => this.wire.nudge?.();
      const far =
        proxy.protocol === "https"
          ? await startTls(raw, bracketed(proxy.host), this.#context, sent)
          : raw;
      opened.push(far);
      await tunnel(far, proxy, { host, port }, sent);
      return { raw, far, address };
    } catch (cause) {
      if (cause instanceof CancelledError) throw cause;
      const isTargets = cause instanceof NoTunnel && !cause.isProxys;
      const why = cause instanceof NoTunnel ? `: ${cause.message}` : codeOf(cause);
      const message = isTargets
        ? `the host could not be connected to through a proxy${why}`
        : `the proxy has failed${why}`;
      const details = { phase: "connect", url: url.href } as const;
      throw new PageError(isTargets ? "connect_failed" : "proxy_failed", message, details);
    }
  }

  async #secured(far: Duplex, url: URL): Promise<Duplex> {
    try {
      return await startTls(far, url.hostname, this.#context, () => this.wire.nudge?.());
    } catch (cause) {
      if (cause instanceof CancelledError) throw cause;
      const message = `TLS with the host has failed${codeOf(cause)}`;
      throw new PageError("tls_failed", message, { phase: "connect", url: url.href });
    }
  }

  /** The first address that answers, a quarter of a second apart. */
  async #connect(
    addresses: readonly string[],
    port: number,
    localAddress?: string,
  ): Promise<readonly [RawSocket, string]> {
    const [only = ""] = addresses;
    if (addresses.length === 1)
      return [await this.wire.connect({ address: only, port, localAddress }), only];
    const opened = new Set<RawSocket>();
    let winner: RawSocket | undefined;
    try {
      const attempts = addresses.map((address) => async () => {
        const socket = await this.wire.connect({ address, port, localAddress });
        opened.add(socket);
        return [socket, address] as const;
      });
      const [won] = await staggeredRace(attempts, STAGGER);
      winner = won[0];
      return won;
    } finally {
      for (const socket of opened) if (socket !== winner) socket.destroy();
    }
  }
}

interface Dialled {
  readonly raw: RawSocket;
  /** Where the bytes of the target come out. */
  readonly far: Duplex;
  readonly address: string;
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

/**
 * ` (ECONNREFUSED)`: the code of an error of the host. The error itself, which has an address in it,
 * is not passed on.
 */
function codeOf(cause: unknown): string {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { code } = (first ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? ` (${code})` : "";
}
