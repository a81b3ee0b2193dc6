/**
 * The farm of `compare.ts`, in a process of its own, with three sites more. Each line that it is
 * sent is answered by one: "reset" forgets what it has seen, "look" tells it.
 *
 * - `ticks.farm.test/ID`: a handler that is alive asks for its page ten times a second.
 * - `never.farm.test`: begins a page and sends a byte now and then, for ever.
 * - `rules.farm.test`: says in robots.txt what it wants, and once to come back in two seconds.
 */

import { createInterface } from "node:readline";
import { openFarm } from "../../farm/farm.ts";
import { html, pageOf, type Sites, withoutRobots } from "../../farm/site.ts";
import { violationsOf } from "./violations.ts";

export interface Seen {
  /** Connections on which a page is being sent that never ends. */
  readonly sockets: number;
  /** Handlers that have asked for their page within the last half second. */
  readonly handlers: number;
  /** How many of both there ever were. */
  readonly begun: { readonly sockets: number; readonly handlers: number };
  readonly violations: ReturnType<typeof violationsOf>;
}

let neverEnding = 0;
const page = pageOf(20_000);
const plain = { "content-type": "text/plain" };

const sites: Sites = {
  "load.farm.test": withoutRobots((ask) => html(ask, page)),
  "ticks.farm.test": withoutRobots((ask) => html(ask, "<p>tick</p>")),
  "never.farm.test": withoutRobots(({ socket, gone }) => {
    neverEnding++;
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000000\r\n\r\n");
    const timer = setInterval(() => socket.write("x"), 50);
    gone.addEventListener("abort", () => {
      clearInterval(timer);
      neverEnding--;
    });
  }),
  "rules.farm.test": (ask) => {
    if (ask.url.pathname === "/robots.txt")
      return html(ask, "User-agent: *\nDisallow: /private/\nCrawl-delay: 1\n", 200, plain);
    if (ask.url.pathname === "/busy" && ask.count === 1)
      return html(ask, "<p>Slow down.</p>", 429, { "retry-after": "2" });
    html(ask, page);
  },
};

const farm = await openFarm(sites);
const ports = { plain: farm.portOf({ address: "127.0.1.1", port: 80 }) };
const say = (json: object): void => console.log(JSON.stringify(json));
say({ zone: farm.zone, range: farm.range, port: ports.plain });

const nameOf = (host: string): string =>
  Object.entries(farm.zone).find(([, [address]]) => address === host)?.[0] ?? host;

for await (const line of createInterface(process.stdin)) {
  if (line === "reset") {
    farm.reset();
    say({});
    continue;
  }
  const seen = farm.seen.map((one) => ({ ...one, site: nameOf(one.site) }));
  const since = performance.now() - 500;
  /** How many URLs of a site were asked for, from then on. */
  const asked = (site: string, from = 0): number => {
    const pages = seen.filter((one) => one.site === site && one.at > from);
    return new Set(pages.map(({ path }) => path).filter((path) => path !== "/robots.txt")).size;
  };
  const found: Seen = {
    sockets: neverEnding,
    handlers: asked("ticks.farm.test", since),
    begun: { sockets: asked("never.farm.test"), handlers: asked("ticks.farm.test") },
    violations: violationsOf(seen.filter(({ site }) => site === "rules.farm.test")),
  };
  say(found);
}
await farm.close();
