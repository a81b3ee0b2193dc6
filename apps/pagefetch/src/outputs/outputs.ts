/**
 * The forms in which a page is given: text, markdown, links, and what rules take out of it. The
 * work is done in processes of their own, with a limit of time and of memory. A page that goes
 * beyond one costs its own worker, which is replaced, and gets its own error. The time is that of
 * the work: a worker that is slow to start, and pages that are ahead in the line, are not its fault.
 */

import * as asyncio from "asyncio-ts";
import {
  callback,
  type Executor,
  module,
  ProcessPoolExecutor,
  WorkerLostError,
} from "asyncio-ts/executors";
import { CapacityLimiter } from "asyncio-ts/patterns";
import { PageError } from "../contract/errors.ts";
import { HeldBytes } from "../contract/held.ts";
import type { Extracted, ExtractRules } from "./rules.ts";
import type { Link } from "./work.ts";

export interface OutputOptions {
  /** How many pages are worked on at a time. @default 2 */
  readonly maxWorkers?: number | undefined;
  /** Seconds for a page, from the moment in which a worker begins with it. @default 5 */
  readonly timeout?: number | undefined;
  /** Megabytes of heap for a page. @default 256 */
  readonly memoryMb?: number | undefined;
  /** Pages that may wait. Beyond it `overloaded`. @default 100 */
  readonly maxQueue?: number | undefined;
}

/**
 * Waits for a worker, and for its result. Cancelled, the work has ended when the caller goes on.
 * Owners, such as keys, take turns: a page waits for one page of each of the others at a time.
 */
export interface Outputs extends AsyncDisposable {
  text(html: string, owner?: string): Promise<string>;
  markdown(html: string, owner?: string): Promise<string>;
  /** `base` is the page's address, for links that are relative. */
  links(html: string, base: string, owner?: string): Promise<readonly Link[]>;
  extract(html: string, rules: ExtractRules, base: string, owner?: string): Promise<Extracted>;
}

const jobs = module<typeof import("./jobs.ts")>(new URL("./jobs.ts", import.meta.url));

/**
 * Belongs to the run that it is made in. No process is started before the first page.
 * @param executor - does the work, and is shut down with it; processes by default
 */
export function createOutputs(options: OutputOptions = {}, executor?: Executor): Outputs {
  const { maxWorkers = 2, timeout = 5, memoryMb = 256, maxQueue = 100 } = options;
  for (const [name, value] of Object.entries({ maxWorkers, timeout, memoryMb, maxQueue })) {
    if (!(typeof value === "number" && value > 0)) {
      throw new RangeError(`outputs.${name}: expected a number above 0, got ${String(value)}`);
    }
  }
  const pool =
    executor ??
    new ProcessPoolExecutor({
      name: "outputs",
      maxWorkers,
      execArgv: [`--max-old-space-size=${memoryMb}`, "--disable-warning=ExperimentalWarning"],
    });
  const workers = new CapacityLimiter(maxWorkers, { name: "workers of outputs" });
  /** Pages that are worked on or wait: divided among owners as bytes are. */
  const places = new HeldBytes(maxWorkers + maxQueue);

  async function parsed<T>(
    owner: string | undefined,
    job: (begin: () => void) => Promise<T>,
  ): Promise<T> {
    const place = places.open(owner);
    if (!place.tryAdd(1)) {
      throw new PageError("overloaded", "too many pages are being parsed", {
        retryAfter: 1,
        limit: { name: "outputs.maxQueue", value: maxQueue },
      });
    }
    const loop = asyncio.getRunningLoop();
    try {
      const work = () =>
        asyncio.timeout(null, (limit) =>
          job(callback(() => limit.reschedule(loop.time() + timeout))),
        );
      return await workers.run(work, { key: owner, borrower: place });
    } catch (error) {
      throw asPageError(error, timeout, memoryMb);
    } finally {
      place.end();
    }
  }

  return {
    text: (html, owner) => parsed(owner, (begin) => pool.run(jobs.textOf, begin, html)),
    markdown: (html, owner) => parsed(owner, (begin) => pool.run(jobs.markdownOf, begin, html)),
    links: (html, base, owner) =>
      parsed(owner, (begin) => pool.run(jobs.linksOf, begin, html, base)),
    extract: (html, rules, base, owner) =>
      parsed(owner, (begin) => pool.run(jobs.extracted, begin, html, rules, base)),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function asPageError(error: unknown, seconds: number, megabytes: number): unknown {
  if (error instanceof asyncio.TimeoutError) {
    return new PageError("timeout", `the page could not be parsed within ${seconds} s`, {
      phase: "consume",
      limit: { name: "outputs.timeout", value: seconds },
    });
  }
  if (error instanceof WorkerLostError) {
    return new PageError("too_large", `the page could not be parsed within ${megabytes} MB`, {
      phase: "consume",
      limit: { name: "outputs.memoryMb", value: megabytes },
    });
  }
  // A tree that is too deep for the libraries.
  if (error instanceof RangeError) {
    return new PageError("unsupported_content", "the page is nested too deeply to be parsed", {
      phase: "consume",
    });
  }
  return error;
}
