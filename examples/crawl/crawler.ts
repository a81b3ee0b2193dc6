// The crawler: workers in a task group take addresses from a queue, load them, and put the links
// that they find back into it.
//
// `crawl` is the whole story; the class below it says what one visit is. Three things carry it:
// - The task group owns the workers. Leaving it, by whatever way, means that they have all ended.
// - The queue counts what is unfinished. `join` returns when every address was dealt with, so a
//   crawl ends when there is no work left, not when the queue happens to be empty.
// - A failure of a page is a value to be counted (`failures.ts`). What else may be thrown, above
//   all the CancelledError of a crawl that is being stopped, passes through every line here.

import * as asyncio from "asyncio-ts";
import { Failure, failureOf } from "./failures.ts";
import { Host } from "./host.ts";
import { type Client, type Loaded, loadDocument } from "./http.ts";
import { extractLinks, isSameSite, normaliseLink } from "./links.ts";

export interface CrawlOptions {
  /** The crawl ends when so many pages were loaded. */
  readonly limit: number;
  readonly workers: number;
  /** The most requests at one host at a time. */
  readonly perHost: number;
  /** Further attempts after a first one that failed for a passing reason. */
  readonly retries: number;
}

interface Visit {
  readonly url: URL;
  /** How many redirects in a row have led here. */
  readonly redirects: number;
}

const html = /^(text\/html|application\/xhtml\+xml)\b/;
const mostRedirects = 5;
const firstBackoff = 0.25;
const longestBackoff = 10;

/** Crawls the site of `start` and records in `client.report` what it meets. */
export async function crawl(start: URL, options: CrawlOptions, client: Client): Promise<void> {
  await asyncio.taskGroup(async (group) => {
    const crawler = new Crawler(start, options, client, group);
    for (let number = 1; number <= options.workers; number++) {
      group.createTask(() => crawler.work(), { name: `worker ${number}` });
    }
    await crawler.frontier.join();
    crawler.frontier.shutdown(); // ends the loops of the workers, and thereby the group
  });
}

class Crawler {
  /**
   * Addresses to visit. Unbounded: workers that wait for room while they alone make it stand still.
   */
  readonly frontier: asyncio.Queue<Visit> = new asyncio.Queue(0, { name: "frontier" });
  /** Every address that was ever put into the frontier. */
  readonly #seen = new Set<string>();
  readonly #hosts = new Map<string, Host>();
  readonly #redirectTargets = new Map<string, string>();
  readonly #start: URL;
  readonly #options: CrawlOptions;
  readonly #client: Client;
  readonly #group: asyncio.TaskGroup;

  constructor(start: URL, options: CrawlOptions, client: Client, group: asyncio.TaskGroup) {
    this.#start = start;
    this.#options = options;
    this.#client = client;
    this.#group = group;
    this.#add({ url: normaliseLink(start.href, start) ?? start, redirects: 0 });
  }

  async work(): Promise<void> {
    for await (const visit of this.frontier) {
      try {
        await this.#visitOrRecordFailure(visit);
      } finally {
        this.frontier.taskDone();
      }
    }
  }

  async #visitOrRecordFailure(visit: Visit): Promise<void> {
    const { report } = this.#client;
    try {
      await this.#visit(visit);
    } catch (error) {
      report.failures.push({ url: visit.url.href, failure: failureOf(error) });
    }
    report.visited++;
  }

  async #visit(visit: Visit): Promise<void> {
    const { report } = this.#client;
    const host = this.#hostOf(visit.url);
    const rules = await host.rules;
    if (!rules.allows(visit.url)) {
      report.disallowed.push(visit.url.href);
      return;
    }
    const document = await this.#loadWithRetries(visit.url, host);
    switch (document.kind) {
      case "text":
        return this.#record(visit.url, document);
      case "redirect":
        return this.#followRedirect(visit, document.location);
      case "other":
        report.otherContent++;
    }
  }

  async #loadWithRetries(url: URL, host: Host): Promise<Loaded> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await host.admit(() => loadDocument(url, this.#client, html));
      } catch (error) {
        const failure = failureOf(error);
        if (!failure.transient || attempt === this.#options.retries) throw failure;
        this.#client.report.retries++;
        // The slot at the host is free meanwhile: others go on while this one waits.
        await asyncio.sleep(backoff(attempt, failure.retryAfter));
      }
    }
  }

  #record(url: URL, { text, bytes, seconds }: Loaded & { kind: "text" }): void {
    const { pages } = this.#client.report;
    if (pages.length === this.#options.limit) return;
    pages.push({ url: url.href, bytes, seconds });
    if (pages.length < this.#options.limit) {
      for (const link of extractLinks(text, url)) this.#add({ url: link, redirects: 0 });
    } else {
      // The other workers are cancelled in the middle of what they do, and the group ends well.
      this.#group.cancel();
    }
  }

  /**
   * A redirect is a link with a memory. No task waits for its target here: that is visited once, by
   * whichever worker comes to it, however many pages and redirects lead there.
   */
  #followRedirect({ url, redirects }: Visit, location: string): void {
    this.#client.report.redirects++;
    const target = normaliseLink(location, url);
    if (target === undefined) throw new Failure("redirect to nowhere");
    if (redirects >= mostRedirects) throw new Failure("too many redirects");
    this.#redirectTargets.set(url.href, target.href);
    if (this.#leadsBack(url.href)) throw new Failure("redirect circle");
    this.#add({ url: target, redirects: redirects + 1 });
  }

  /** True for exactly one address of a circle: the one that was looked at last and closes it. */
  #leadsBack(start: string): boolean {
    let next = this.#redirectTargets.get(start);
    const passed = new Set<string>();
    while (next !== undefined && next !== start && !passed.has(next)) {
      passed.add(next);
      next = this.#redirectTargets.get(next);
    }
    return next === start;
  }

  #add(visit: Visit): void {
    const { report } = this.#client;
    const address = visit.url.href;
    if (!isSameSite(visit.url, this.#start)) {
      report.offSite.add(address);
    } else if (!this.#seen.has(address)) {
      this.#seen.add(address);
      report.found++;
      this.frontier.putNowait(visit);
    }
  }

  #hostOf(url: URL): Host {
    let host = this.#hosts.get(url.origin);
    if (host === undefined) {
      host = new Host(url, this.#options.perHost, this.#client);
      this.#hosts.set(url.origin, host);
      this.#client.report.hosts.push(host);
    }
    return host;
  }
}

/**
 * Seconds before the next attempt: doubled each time, and scattered, so that retries do not come in
 * waves.
 */
function backoff(attempt: number, retryAfter: number): number {
  const delay = firstBackoff * 2 ** attempt * (0.5 + Math.random());
  return Math.min(Math.max(delay, retryAfter), longestBackoff);
}
