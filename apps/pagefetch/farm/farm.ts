/**
 * The farm: sites that misbehave in every way that we know of, each on an address of its own in
 * 127.0.1.0/24, which Linux has without being asked. Names are found by `zone`; the ports 80 and
 * 443 are found by `portOf`, since only root may listen there. No other machine
 * can reach it.
 *
 *     const farm = await openFarm();
 *     const egress = new Egress({ resolver: zoneResolver(farm.zone), wire: machineWire(farm.portOf),
 *       allow: [farm.range], authorities: [farm.authority] });
 *     await farm.close();
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type Server as BareServer, createServer as createBareServer, type Socket } from "node:net";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { type Site, type Sites, withoutRobots } from "./site.ts";
import { guardedSites } from "./sites/guarded.ts";
import { hostileSites } from "./sites/hostile.ts";
import { plainSites } from "./sites/plain.ts";
import { robotSites, waySites } from "./sites/ways.ts";

/** One request, as the farm saw it. */
export interface Seen {
  readonly site: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** The address it came from. */
  readonly client: string;
  /** Milliseconds, of `performance.now()`. */
  readonly at: number;
}

export interface Farm {
  /** Addresses by name, for a resolver. */
  readonly zone: Readonly<Record<string, readonly string[]>>;
  /** The range that its addresses are in. */
  readonly range: string;
  /** The certificate of its authority, as PEM. */
  readonly authority: string;
  /** The port that a connection really goes to. */
  portOf(to: { readonly address: string; readonly port: number }): number;
  /** The last 10,000 requests. */
  readonly seen: readonly Seen[];
  /** Connections that are open. */
  readonly open: number;
  /** How many connections came to 127.0.0.1. There should be none. */
  readonly canaryHits: number;
  /** Forgets requests and counts. */
  reset(): void;
  /** Resolves when `seen` has `count` requests. */
  waitSeen(count: number): Promise<void>;
  /** Resolves when no connection is open any more. */
  waitQuiet(): Promise<void>;
  /** Ends all connections and stops listening. */
  close(): Promise<void>;
}

const MOST_SEEN = 10_000;
const folder = join(import.meta.dirname, "certificates");
const read = (name: string): string => readFileSync(join(folder, name), "utf8");

/** Names that do not lead to the farm. */
const traps: Readonly<Record<string, readonly string[]>> = {
  "inside.farm.test": ["127.0.0.1"],
  "mixed.farm.test": ["127.0.1.1", "127.0.0.1"],
  "mapped.farm.test": ["::ffff:127.0.0.1"],
  "private.farm.test": ["10.0.0.1"],
  "metadata.farm.test": ["169.254.169.254"],
  "unspecified.farm.test": ["0.0.0.0"],
  "nowhere.farm.test": [],
};

/** Sites that differ in their certificates alone. */
const plainPage: Site = ({ response }) => void response.end("<p>hello</p>");
const certificateSites: Sites = {
  "expired.farm.test": plainPage,
  "elsewhere.farm.test": plainPage,
  "self-signed.farm.test": plainPage,
};

/** What a site does is met at its pages: only those of `robotSites` have a robots.txt. */
const sitesWithoutRobots: Sites = {
  ...plainSites,
  ...hostileSites,
  ...waySites,
  ...guardedSites,
  ...certificateSites,
};

export const farmSites: Sites = {
  ...Object.fromEntries(
    Object.entries(sitesWithoutRobots).map(([name, site]) => [name, withoutRobots(site)]),
  ),
  ...robotSites,
};

/** Starts all sites. `more` are sites of a test. */
export async function openFarm(more: Sites = {}): Promise<Farm> {
  const farm = new RunningFarm({ ...farmSites, ...more });
  await farm.start();
  return farm;
}

class RunningFarm implements Farm {
  readonly zone: Record<string, readonly string[]> = { ...traps };
  readonly range = "127.0.1.0/24";
  readonly authority = read("ca.pem");
  readonly seen: Seen[] = [];
  canaryHits = 0;
  readonly #sites: Sites;
  readonly #servers: BareServer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #counts = new Map<string, number>();
  /** Of sites by their address: a program that has no such resolver asks for them by it. */
  readonly #names = new Map<string, string>();
  readonly #quiet = new Set<() => void>();
  /** Those who wait for a number of requests: calls, by that number. */
  readonly #seeing = new Map<() => void, number>();
  readonly #gone = new WeakMap<Socket, AbortSignal>();
  #port = 0;
  #securePort = 0;
  #canaryPort = 0;

  constructor(sites: Sites) {
    this.#sites = sites;
  }

  get open(): number {
    return this.#sockets.size;
  }

  async start(): Promise<void> {
    const names = Object.keys(this.#sites);
    const addresses = names.map((_, index) => `127.0.1.${index + 1}`);
    names.forEach((name, index) => {
      const address = addresses[index] ?? "";
      this.zone[name] = [address];
      this.#names.set(address, name);
    });
    this.#port = await this.#listenOn(addresses, () => createServer(this.#answer));
    this.#securePort = await this.#listenOn(addresses, () =>
      createSecureServer({ ...contextFor("farm"), SNICallback: chooseContext }, this.#answer),
    );
    this.#canaryPort = await this.#listenOn(["127.0.0.1"], () =>
      createBareServer((socket) => {
        this.canaryHits++;
        socket.destroy();
      }),
    );
  }

  portOf({ address, port }: { readonly address: string; readonly port: number }): number {
    if (!address.startsWith("127.0.1."))
      return port === 80 || port === 443 ? this.#canaryPort : port;
    return port === 80 ? this.#port : port === 443 ? this.#securePort : port;
  }

  reset(): void {
    this.seen.length = 0;
    this.#counts.clear();
    this.canaryHits = 0;
  }

  async waitSeen(count: number): Promise<void> {
    if (this.seen.length < count)
      await new Promise<void>((resolve) => this.#seeing.set(resolve, count));
  }

  async waitQuiet(): Promise<void> {
    if (this.#sockets.size > 0) await new Promise<void>((resolve) => this.#quiet.add(resolve));
  }

  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  /** The same port on each address: the first one finds one that is free. */
  async #listenOn(addresses: readonly string[], make: () => BareServer): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      const opened: BareServer[] = [];
      try {
        let port = 0;
        for (const host of addresses) {
          const server = make();
          server.on("connection", (socket: Socket) => this.#track(socket));
          server.listen({ port, host, backlog: 4096 });
          await once(server, "listening");
          opened.push(server);
          const address = server.address();
          if (typeof address === "object" && address !== null) port = address.port;
        }
        this.#servers.push(...opened);
        return port;
      } catch (error) {
        for (const server of opened) server.close();
        if (attempt === 20) throw error;
      }
    }
  }

  #siteOf(name: string): Site | undefined {
    return this.#sites[name] ?? this.#sites[`*.${name.split(".").slice(1).join(".")}`];
  }

  #goneOf(socket: Socket): AbortSignal {
    const known = this.#gone.get(socket);
    if (known !== undefined) return known;
    const controller = new AbortController();
    socket.once("close", () => controller.abort());
    this.#gone.set(socket, controller.signal);
    return controller.signal;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size > 0) return;
      for (const resolve of this.#quiet) resolve();
      this.#quiet.clear();
    });
  }

  readonly #answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const host = (request.headers.host ?? "").replace(/:\d+$/, "");
    const url = new URL(`http://${host}${request.url}`);
    const { socket, method = "", headers } = request;
    const client = socket.remoteAddress ?? "";
    if (this.seen.length >= MOST_SEEN) this.seen.shift();
    this.seen.push({
      site: host,
      method,
      path: request.url ?? "",
      headers,
      client,
      at: performance.now(),
    });
    for (const [resolve, wanted] of this.#seeing) {
      if (this.seen.length < wanted) continue;
      this.#seeing.delete(resolve);
      resolve();
    }
    const key = `${host} ${request.url}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    const gone = this.#goneOf(socket);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const ask = { request, response, socket, url, client, count, gone };
      const site = this.#siteOf(this.#names.get(host) ?? host);
      if (site === undefined) response.writeHead(404).end("no such site\n");
      else await site({ ...ask, body: Buffer.concat(chunks) });
    } catch {
      socket.destroy();
    }
  };
}

function contextFor(name: string): { readonly cert: string; readonly key: string } {
  return { cert: read(`${name}.pem`), key: read(`${name}-key.pem`) };
}

function chooseContext(
  name: string,
  choose: (error: null, context?: ReturnType<typeof createSecureContext>) => void,
): void {
  const [first = ""] = name.split(".");
  const kind = first === "expired" || first === "elsewhere" ? first : "farm";
  choose(null, createSecureContext(contextFor(kind)));
}
