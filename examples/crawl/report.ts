// What a crawl has done so far. The crawler writes it, the progress line and the summary read it.
//
// One plain object is enough: tasks take turns at `await` only, so no two of them ever change it at
// the same time, and a reader never sees half a change.

import type { Failure } from "./failures.ts";

export interface PageRecord {
  readonly url: string;
  readonly bytes: number;
  readonly seconds: number;
}

export interface FailureRecord {
  readonly url: string;
  readonly failure: Failure;
}

export interface HostRecord {
  readonly name: string;
  readonly requests: number;
  readonly mostAtOnce: number;
}

/** A request under way; disposing of it says that it has ended. */
export interface MeasuredRequest extends Disposable {
  seconds(): number;
}

export class Report {
  readonly pages: PageRecord[] = [];
  readonly failures: FailureRecord[] = [];
  readonly hosts: HostRecord[] = [];
  /** Remarks for the summary, for example that a robots.txt could not be had. */
  readonly notes: string[] = [];
  /** Links that robots.txt keeps us from, and links that lead to other sites. */
  readonly disallowed: string[] = [];
  readonly offSite: Set<string> = new Set();
  /** Addresses taken up, and those of them that were dealt with, whatever came of it. */
  found = 0;
  visited = 0;
  redirects = 0;
  /** Answers that were no HTML. */
  otherContent = 0;
  requests = 0;
  retries = 0;
  inFlight = 0;
  /** Seconds that the requests took, added up: what the crawl would take one request at a time. */
  requestSeconds = 0;
  readonly #startedAt = now();

  elapsedSeconds(): number {
    return now() - this.#startedAt;
  }

  beginRequest(): MeasuredRequest {
    const startedAt = now();
    const seconds = () => now() - startedAt;
    this.requests++;
    this.inFlight++;
    return {
      seconds,
      [Symbol.dispose]: () => {
        this.inFlight--;
        this.requestSeconds += seconds();
      },
    };
  }
}

function now(): number {
  return performance.now() / 1000;
}
