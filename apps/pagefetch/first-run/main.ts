/**
 * `npm run pagefetch`: the service with a farm of sites on this machine, a line to paste, and five
 * calls that show what it does. Nothing is asked of the internet, and nothing is stored.
 */

import { randomBytes } from "node:crypto";
import * as asyncio from "asyncio-ts";
import { openFarm } from "../farm/farm.ts";
import { exampleDomain } from "../farm/sites/plain.ts";
import { serve } from "../src/api/serve.ts";
import { withService } from "../src/cli/running.ts";
import { zoneResolver } from "../src/egress/resolve.ts";
import { machineWire } from "../src/egress/wire.ts";
import type { Key } from "../src/store/keys.ts";

const say = (text = ""): void => void process.stdout.write(`${text}\n`);
const wanted = Number(process.env.PORT ?? 8080);

const key: Key = {
  id: "firstrun",
  name: "first run",
  scopes: ["fetch", "usage"],
  rate: 100,
  burst: 100,
  concurrency: 100,
  budget: null,
  address: null,
  created: new Date(),
  revoked: null,
};

interface Stop {
  readonly title: string;
  readonly query: Readonly<Record<string, string>>;
  readonly tell: (response: Response, body: string, seconds: number) => string;
}

const header = (response: Response, name: string): string => response.headers.get(name) ?? "-";
const codeOf = (body: string): string => {
  const { error } = JSON.parse(body) as { error: { code: string; message: string } };
  return `${error.code}: ${error.message}`;
};

const tour: readonly Stop[] = [
  {
    title: "The page that everybody knows, byte for byte",
    query: { url: "http://example.com/" },
    tell: (response, body) =>
      `${body.length} bytes, ${body === exampleDomain ? "the same" : "NOT the same"} as the site's; robots.txt: ${header(response, "x-fetch-robots")}`,
  },
  {
    title: "A site that fails twice before it answers",
    query: { url: "http://flaky.farm.test/2" },
    tell: (response, body) =>
      `${response.status} after ${header(response, "x-fetch-attempts")} attempts: ${body.replace(/<[^>]*>/g, "").trim()}`,
  },
  {
    title: "A site that says 429, and to come back in two seconds",
    query: { url: "http://limits.farm.test/429?after=2" },
    tell: (response, _body, seconds) =>
      `${response.status} after ${header(response, "x-fetch-attempts")} attempts and ${seconds.toFixed(1)} s`,
  },
  {
    title: "A bomb: a few hundred bytes that unpack to a hundred megabytes",
    query: { url: "http://bombs.farm.test/br", json: "1", output: "raw" },
    tell: (response, body) => `${response.status} ${codeOf(body)}`,
  },
  {
    title: "An address inside of the operator's network",
    query: { url: "http://127.0.0.1/" },
    tell: (response, body) => `${response.status} ${codeOf(body)}`,
  },
];

async function show(address: string, secret: string): Promise<void> {
  for (const [index, { title, query, tell }] of tour.entries()) {
    const began = asyncio.getRunningLoop().time();
    const response = await asyncio.fetch(`${address}/?${new URLSearchParams(query)}`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const body = await response.text();
    say(`${index + 1}. ${title}`);
    say(`   ${query.url}`);
    say(`   ${tell(response, body, asyncio.getRunningLoop().time() - began)}`);
    say();
  }
}

async function main(): Promise<void> {
  const secret = `pf_firstrun_${randomBytes(16).toString("hex")}`;
  const farm = await openFarm();
  try {
    const config = {
      allow: [farm.range],
      // The sites are ours. Elsewhere it is one request a second.
      politeness: {
        domain: { interval: 0.2, inFlight: 4 },
        address: { interval: 0, inFlight: 20 },
      },
    };
    const egress = {
      resolver: zoneResolver(farm.zone),
      wire: machineWire(farm.portOf.bind(farm)),
      authorities: [farm.authority],
    };
    const extras = { egress, keys: new Map([[secret, key]]), report: say };
    await withService(config, extras, async ({ app, service }) => {
      const begin = (port: number): Promise<void> =>
        serve(app, service, { port, drain: 3 }, async (address) => {
          say(
            `pagefetch listens at ${address}, with a farm of sites on this machine as its internet.`,
          );
          say();
          say("Paste this into another terminal:");
          say();
          say(`  curl '${address}/?key=${secret}&url=http://example.com/'`);
          say();
          await show(address, secret);
          if (process.env.PAGEFETCH_ONCE !== undefined) return;
          say(`The documentation is at ${address}/docs. Ctrl-C ends all of it.`);
          await new asyncio.Event().wait();
        });
      await begin(wanted);
    });
  } finally {
    await farm.close();
    say("Ended: no connection is open any more.");
  }
}

try {
  await asyncio.run(main);
} catch (error) {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "EADDRINUSE") throw error;
  say(`the port ${wanted} is taken: PORT=0 npm run pagefetch takes one that is free`);
  process.exitCode = 1;
}
