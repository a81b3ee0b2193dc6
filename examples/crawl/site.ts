// The bundled site: a real HTTP server on loopback that serves the plan of `site-plan.ts`, with its
// latencies and its faults. It listens on one port per host of the plan.
//
// Nothing here uses the library: the site is the outside world that the crawler has to live with.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delayMs } from "node:timers/promises";
import {
  type Behaviour,
  type Entry,
  keyOf,
  type Link,
  planSite,
  type SitePlan,
} from "./site-plan.ts";

export interface Site {
  readonly start: URL;
  readonly plan: SitePlan;
  /** Waits until no client holds a socket open. */
  waitUntilDeserted(): Promise<void>;
  /** Drops every connection, also those that wait for an answer. */
  close(): Promise<void>;
}

/** A port where no program listens: the home page has a link to it. */
const deadPort = 1;
const dripDelayMs = 100;
const dripBytes = 600;
const hugeBytes = 4 * 1024 * 1024;
const crawlDelaySeconds = 0.02;

export async function startSite(plan: SitePlan = planSite()): Promise<Site> {
  const failedOnce = new Set<string>();
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const origins: string[] = [];

  for (let host = 0; host < plan.hostCount; host++) {
    const server = createServer((request, response) => {
      // A client that goes away while an answer is under way is nothing special here.
      answer(request, response, host).catch(() => response.destroy());
    });
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
    origins.push(`http://127.0.0.1:${portOf(server)}`);
  }

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    host: number,
  ): Promise<void> {
    const path = request.url ?? "/";
    if (path === "/robots.txt") return sendText(response, 200, "text/plain", robotsText(host));
    const entry = plan.entries.get(keyOf({ host, path })) ?? endlessEntry(host, path);
    if (entry === undefined) return sendText(response, 404, "text/plain", "no such page\n");

    // The timer must not outlive the client: it would hold the process open.
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    await delayMs(entry.latency * 1000, undefined, { signal: gone.signal });
    await behave(entry, response, gone.signal);
  }

  async function behave(entry: Entry, response: ServerResponse, gone: AbortSignal): Promise<void> {
    const behaviour = entry.behaviour;
    switch (behaviour.kind) {
      case "page":
      case "private":
        return sendText(response, 200, "text/html; charset=utf-8", renderPage(entry));
      case "flaky": {
        const recovered = failedOnce.has(keyOf(entry));
        failedOnce.add(keyOf(entry));
        if (recovered)
          return sendText(response, 200, "text/html; charset=utf-8", renderPage(entry));
        return sendText(response, 500, "text/plain", "a passing fault\n");
      }
      case "broken":
        return sendText(response, 500, "text/plain", "a lasting fault\n");
      case "missing":
        return sendText(response, 404, "text/plain", "no such page\n");
      case "hanging":
        return;
      case "dripping":
        return drip(response, gone);
      case "dropped":
        response.writeHead(200, { "content-type": "text/html", "content-length": 1000 });
        response.write("<!doctype html><title>Not all of it</title>", () => response.destroy());
        return;
      case "huge":
        return sendText(response, 200, "text/html", "<p>more of the same</p>".padEnd(hugeBytes));
      case "image":
        return sendText(
          response,
          200,
          "image/svg+xml",
          '<svg xmlns="http://www.w3.org/2000/svg"/>',
        );
      case "redirect":
        return redirect(response, behaviour.status, addressOf(behaviour.target));
      case "endless":
        return redirect(response, 302, nextEndless(entry.path));
    }
  }

  function addressOf(key: string): string {
    const [host, path] = key.split(" ");
    return `${origins[Number(host)]}${path}`;
  }

  function renderPage(entry: Entry): string {
    const links = entry.links.map((link) => {
      return `<li><a href="${spell(link, entry, addressOf(link.target))}">${link.target}</a></li>`;
    });
    if (entry.path === "/") links.push(...outwardLinks());
    return [
      `<!doctype html><html><head><title>${entry.path}</title></head><body>`,
      `<p>${"Leaves of the same tree &amp; its branches. ".repeat(20 + entry.links.length)}</p>`,
      `<ul>${links.join("\n")}</ul></body></html>`,
    ].join("\n");
  }

  return {
    start: new URL(`${origins[0]}/`),
    plan,
    async waitUntilDeserted() {
      for (const socket of sockets) await once(socket, "close");
    },
    async close() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const server of servers) server.closeAllConnections();
      await Promise.all(closed);
    },
  };
}

/** The same page has many spellings; all of these must be seen as one. */
function spell(link: Link, from: Entry, address: string): string {
  const { origin, pathname } = new URL(address);
  const sameHost = link.target.startsWith(`${from.host} `);
  switch (link.spelling) {
    case "absolute":
      return address;
    case "fragment":
      return `${address}#section-&#50;`;
    case "shouting":
      return address.replace("http:", "HTTP:");
    case "dotted":
      return `${origin}/./nowhere/..${pathname}`;
    case "plain":
      return sameHost ? pathname : address;
  }
}

function outwardLinks(): string[] {
  const addresses = [
    `http://127.0.0.1:${deadPort}/nobody-listens-here`,
    "http://elsewhere.invalid/",
    "mailto:someone@elsewhere.invalid",
    "#top",
  ];
  return addresses.map((address) => `<li><a href="${address}">${address}</a></li>`);
}

function robotsText(host: number): string {
  const delay = host === 2 ? `Crawl-delay: ${crawlDelaySeconds}\n` : "";
  return `User-agent: *\nDisallow: /private/\n${delay}`;
}

function endlessEntry(host: number, path: string): Entry | undefined {
  const behaviour: Behaviour = { kind: "endless" };
  return path.startsWith("/endless/")
    ? { host, path, latency: 0.02, behaviour, links: [] }
    : undefined;
}

function nextEndless(path: string): string {
  return `/endless/${Number(path.split("/").at(-1)) + 1}`;
}

async function drip(response: ServerResponse, gone: AbortSignal): Promise<void> {
  response.writeHead(200, { "content-type": "text/html" });
  for (let sent = 0; sent < dripBytes; sent++) {
    response.write(".");
    await delayMs(dripDelayMs, undefined, { signal: gone });
  }
  response.end();
}

function redirect(response: ServerResponse, status: number, location: string): void {
  response.writeHead(status, { location }).end();
}

function sendText(
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
): void {
  response.writeHead(status, { "content-type": contentType }).end(text);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("the server listens on no port");
  return address.port;
}
