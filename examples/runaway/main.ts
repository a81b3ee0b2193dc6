// A service that checks regular expressions of its users. Start it with `npm start --prefix
// examples/runaway`, open the page, press "check", and look at the counters; close the tab while it
// checks, and the check is stopped. `--compare 200` measures what runaways cost, here and in
// piscina. How it works is in runaway.ts.

import { once } from "node:events";
import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { ProcessPoolExecutor, ThreadPoolExecutor } from "asyncio-ts/executors";
import { address, number, runProgram, UsageError } from "../command-line.ts";
import { ours, piscinas } from "./compare.ts";
import { Checker, serve } from "./runaway.ts";

const usage = `Usage: node examples/runaway/main.ts [options]

Checks regular expressions which never end, and stops them.

  --listen HOST:PORT   where to listen (default: 127.0.0.1:8000)
  --on WHAT            threads or processes (default: threads)
  --workers N          how many (default: 2)
  --seconds SECONDS    what a check may take (default: 5)
  --compare N          measure N runaways here and in piscina, and end
  --help               print this text`;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", default: "127.0.0.1:8000" },
      on: { type: "string", default: "threads" },
      workers: { type: "string", default: "2" },
      seconds: { type: "string", default: "5" },
      compare: { type: "string", default: "0" },
    },
  });
  if (!["threads", "processes"].includes(values.on))
    throw new UsageError(`--on has to be threads or processes, not ${values.on}`);
  return {
    at: address("--listen", values.listen),
    Pool: values.on === "threads" ? ThreadPoolExecutor : ProcessPoolExecutor,
    maxWorkers: number("--workers", values.workers, 1),
    seconds: number("--seconds", values.seconds),
    compare: number("--compare", values.compare),
  };
}

async function compare(count: number): Promise<void> {
  for (const measure of [ours, piscinas]) {
    const { name, seconds, goodMs, threads } = await measure(count);
    console.log(
      `${name}: ${count} runaways in ${seconds.toFixed(1)} s, the good check after each in ` +
        `${goodMs.toFixed(1)} ms (median), ${threads} threads made`,
    );
  }
}

await runProgram(usage, readOptions, async (options) => {
  if (options.compare > 0) return compare(options.compare);
  const { Pool, maxWorkers, seconds, at } = options;
  await using pool = new Pool({ maxWorkers, minWorkers: maxWorkers });
  const server = serve(new Checker(pool, seconds)).listen(at.port, at.host);
  try {
    await once(server, "listening");
    console.log(`runaway: open http://${at.host}:${(server.address() as { port: number }).port}/`);
    await asyncio.sleep(Number.POSITIVE_INFINITY);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
