// A concurrent crawler: the program around `crawler.ts`. Start it with `npm start`, and stop it
// with Ctrl-C when you have seen enough: `asyncio.run` then cancels `main`, every task gets a
// CancelledError where it waits, the `finally` blocks run, and the process ends as a shell expects.
//
// Read on in this order: `crawler.ts` (queue, workers, task group), `http.ts` (timeout and
// cancellation of one request), `host.ts` (a limit per host), `failures.ts`, `progress.ts`.

import * as asyncio from "asyncio-ts";
import { Agent } from "undici";
import { crawl } from "./crawler.ts";
import { type Options, parseOptions, UsageError, usage } from "./options.ts";
import { showProgress } from "./progress.ts";
import { Report } from "./report.ts";
import { startSite } from "./site.ts";
import { type Ending, explainEmptyCrawl, summarise } from "./summary.ts";

/**
 * Closing sockets takes milliseconds; if it ever takes longer, the process does not wait for it.
 */
const cleanupSeconds = 0.5;

async function main(options: Options): Promise<number> {
  const site = options.start === undefined ? await startSite() : undefined;
  const start = options.start ?? site?.start;
  if (start === undefined) throw new Error("there is either an address or a bundled site");
  // An agent of our own, so that its kept-alive sockets can be closed at the end; its timeouts are
  // switched off, since two clocks for one request would give two kinds of timeout.
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const report = new Report();
  let ending: Ending = "interrupted";
  try {
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => showProgress(report, process.stderr), { name: "progress" });
      await crawl(start, options, { agent, report, requestSeconds: options.requestSeconds });
      group.cancel(); // the progress line is all that is left
    });
    ending = report.pages.length === options.limit ? "limit reached" : "finished";
  } finally {
    if (report.pages.length > 0 || ending === "interrupted") {
      const { workers, perHost } = options;
      const facts = { start, ending, workers, perHost, siteLatency: site?.plan.totalLatency };
      process.stdout.write(summarise(report, facts, process.stdout));
    }
    await asyncio.cleanup(cleanupSeconds, async () => {
      await agent.destroy();
      await site?.close();
    });
  }
  if (report.pages.length > 0) return 0;
  process.stderr.write(`crawl: ${explainEmptyCrawl(report, start)}\n`);
  return 1;
}

function readOptions(): Options | number {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options !== "help") return options;
    process.stdout.write(`${usage}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`crawl: ${error.message}\n\n${usage}\n`);
    return 2;
  }
}

const options = readOptions();
process.exitCode = typeof options === "number" ? options : await asyncio.run(() => main(options));
