/**
 * What `requestScope` costs a web server: `npm run bench:web`, or `node bench/web.ts [rounds]
 * [seconds a round]`.
 *
 * Each framework answers one route, bare and with every request in a scope. The servers are
 * processes of their own, in `examples/web/load`; autocannon loads them in turn, on the loopback,
 * so that whatever else the machine does strikes all of them alike. A round gives one ratio to the
 * bare server of the same round; printed is the median of the ratios. The time of the processor for
 * a request is shown beside it: where others use the machine too, it says more.
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

interface Result {
  readonly requests: { readonly total: number };
  readonly duration: number;
  readonly errors: number;
  readonly non2xx: number;
}

interface Server {
  readonly variant: string;
  readonly process: ChildProcess;
  readonly port: number;
  /** One for each round. */
  readonly rates: number[];
  /** Microseconds of the processor for a request, one for each round. */
  readonly costs: number[];
}

const home = fileURLToPath(new URL("../examples/web/", import.meta.url));
const frameworks = { hono: ["bare", "request", "response"], fastify: ["bare", "response"] };
const connections = 50;
const [, , rounds = "15", seconds = "2"] = process.argv;

// Of a script without types.
const install = "../scripts/install.mjs";
const { ensureInstalled } = (await import(install)) as {
  ensureInstalled(folder: string, what: string): void;
};
ensureInstalled(home, "Hono, Fastify, Express and autocannon into examples/web (32 MB)");
const autocannon: (options: object) => Promise<Result> = createRequire(join(home, "load/"))(
  "autocannon",
);

const [cpu] = cpus();
console.log(
  `Node ${process.version}, ${cpus().length} x ${cpu?.model}, ${connections} connections, ${rounds} rounds of ${seconds} s\n`,
);
console.log(row("", "requests/s", "of bare", "CPU us/request", "of bare"));
for (const [framework, variants] of Object.entries(frameworks)) {
  const servers: Server[] = [];
  for (const variant of variants) servers.push(await start(framework, variant));
  for (const server of servers) await load(server); // warms it up
  for (let round = 0; round < Number(rounds); round++) {
    // In turn from the left and from the right: who comes first gets a machine in another state.
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const before = await cpuSeconds(server);
      const { requests, duration, errors, non2xx } = await load(server);
      const after = await cpuSeconds(server);
      if (errors + non2xx > 0) throw new Error(`${errors} errors, ${non2xx} bad answers`);
      server.rates.push(requests.total / duration);
      server.costs.push(((after - before) / requests.total) * 1e6);
    }
  }
  const [bare] = servers;
  for (const { variant, rates, costs, process } of servers) {
    const rate = median(rates.map((each, round) => each / (bare?.rates[round] ?? 0)));
    const cost = median(costs.map((each, round) => (bare?.costs[round] ?? 0) / each));
    const what = variant === "bare" ? "bare" : `requestScope, ${variant}`;
    console.log(
      row(
        `${framework}, ${what}`,
        median(rates).toFixed(0),
        rate.toFixed(2),
        median(costs).toFixed(1),
        cost.toFixed(2),
      ),
    );
    process.disconnect();
  }
}

async function start(framework: string, variant: string): Promise<Server> {
  const server = fork(join(home, "load", `${framework}.ts`), [variant]);
  const [{ port }] = (await once(server, "message")) as [{ port: number }];
  return { variant, process: server, port, rates: [], costs: [] };
}

function load({ port }: Server): Promise<Result> {
  const url = `http://127.0.0.1:${port}/hello/ann`;
  return autocannon({ url, connections, duration: Number(seconds) });
}

async function cpuSeconds(server: Server): Promise<number> {
  server.process.send("cpu");
  const [{ cpuSeconds }] = (await once(server.process, "message")) as [{ cpuSeconds: number }];
  return cpuSeconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function row(name: string, ...cells: string[]): string {
  return [name.padEnd(32), ...cells.map((cell) => cell.padStart(15))].join("");
}
