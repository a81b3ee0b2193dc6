/**
 * The pipeline's front: what is kept between requests, and the calls that make one. Requests belong
 * to the scopes of their callers; what a Fetcher owns is idle connections, which `close` ends.
 */

import { PageError } from "../contract/errors.ts";
import { HeldBytes, type Hold } from "../contract/held.ts";
import type { FetchOptions } from "../contract/options.ts";
import type {
  Classifier,
  Identities,
  Politeness,
  Proxies,
  Robots,
  RobotsFetch,
  Sessions,
  Solver,
} from "../contract/parts.ts";
import type { FetchResult, PageHead } from "../contract/result.ts";
import { Egress } from "../egress/egress.ts";
import { RetryBudgets } from "../retry/policy.ts";
import { checked } from "./check.ts";
import { Collapsed } from "./collapsed.ts";
import { IdleLines, type IdleOptions } from "./idle-lines.ts";
import { collect, type LivePage, wholePage } from "./page.ts";
import { PageCache } from "./page-cache.ts";
import { PageRequest } from "./page-request.ts";
import { checkParts, type Parts } from "./parts.ts";
import { noClassifier, noPoliteness, noProxies, noSessions, plainIdentities } from "./plain.ts";

export interface FetcherOptions extends IdleOptions {
  /** @default one that connects to public addresses, on the ports 80 and 443 */
  readonly egress?: Egress | undefined;
  /** @default nobody waits */
  readonly politeness?: Politeness | undefined;
  /** @default no proxy */
  readonly proxies?: Proxies | undefined;
  /** @default no cookies */
  readonly sessions?: Sessions | undefined;
  /** @default `pagefetch/0.1`, or the caller's headers */
  readonly identities?: Identities | undefined;
  /** @default every answer is a page */
  readonly classifier?: Classifier | undefined;
  /** Asked about CAPTCHAs of the hosts that it names. @default a CAPTCHA is told and no more */
  readonly solver?: Solver | undefined;
  /**
   * Made with the call that gets robots files through this very Fetcher. @default robots.txt is not
   * asked for
   */
  readonly robots?: ((get: RobotsFetch) => Robots) | undefined;
  /** Used by requests that ask for it. @default one of its own, of 64 MiB */
  readonly cache?: PageCache | undefined;
  /** The budget for bytes of bodies, which others may share. @default one without a limit */
  readonly held?: HeldBytes | undefined;
  /** Spreads retries: from 0 up to 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** RFC 9309, 2.5: at least so much of a robots.txt is to be read. One byte more tells that it is cut. */
const ROBOTS_BYTES = 500 * 1024 + 1;

export class Fetcher {
  readonly #parts: Parts;
  #isClosed = false;

  /** @throws TypeError for a part that lacks what is called of it. */
  constructor(options: FetcherOptions = {}) {
    checkParts(options);
    this.#parts = {
      egress: options.egress ?? new Egress(),
      politeness: options.politeness ?? noPoliteness,
      proxies: options.proxies ?? noProxies,
      sessions: options.sessions ?? noSessions,
      identities: options.identities ?? plainIdentities,
      classifier: options.classifier ?? noClassifier,
      solver: options.solver,
      robots: options.robots?.((url) => this.#getRobots(url)),
      idle: new IdleLines(options),
      cache: options.cache ?? new PageCache(),
      collapsed: new Collapsed(),
      held: options.held ?? new HeldBytes(),
      budgets: new RetryBudgets(),
      random: options.random ?? Math.random,
    };
  }

  /** Connections that are kept at the moment. */
  get idle(): number {
    return this.#parts.idle.size;
  }

  /** The budget for bytes of bodies. */
  get held(): HeldBytes {
    return this.#parts.held;
  }

  /**
   * Fetches a page and waits until all of it is here. Cancelled, it ends its connections and waits
   * before it leaves.
   * @param hold - counts the bytes of the page until its owner ends it; by default they count until
   * the call has ended
   * @throws PageError, and nothing else but CancelledError and the reason of `signal`.
   */
  async fetch(url: string | URL, options?: FetchOptions, hold?: Hold): Promise<FetchResult> {
    this.#checkOpen();
    if (hold !== undefined) return await this.#fetch(url, options, hold);
    const own = this.held.open();
    try {
      return await this.#fetch(url, options, own);
    } finally {
      own.end();
    }
  }

  async #fetch(
    url: string | URL,
    options: FetchOptions | undefined,
    hold: Hold,
  ): Promise<FetchResult> {
    const request = new PageRequest(
      this.#parts,
      checked(url, options),
      { reading: "body", asksRobots: true, judges: true },
      async (page): Promise<[PageHead, Uint8Array]> => [page.head, await collect(page, hold)],
    );
    const [head, bytes] = await request.run();
    return wholePage(head, bytes, request.sums());
  }

  /**
   * Fetches a page and hands it to `consume` when its head is there; the body comes as fast as it is
   * read, no faster. When `consume` has ended, so has the connection, unless all was read. A body
   * that breaks off is not begun again. Gives what `consume` gives.
   */
  async open<T>(
    url: string | URL,
    options: FetchOptions | undefined,
    consume: (page: LivePage) => Promise<T>,
  ): Promise<T> {
    this.#checkOpen();
    const settings = { reading: "consume", asksRobots: true, judges: true } as const;
    return await new PageRequest(this.#parts, checked(url, options), settings, consume).run();
  }

  /** Ends what is kept. Requests that are under way end with their callers. */
  close(): void {
    this.#isClosed = true;
    this.#parts.idle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new PageError("shutting_down", "the fetcher is closed");
  }

  readonly #getRobots: RobotsFetch = async (url) => {
    const options = checked(url, {
      timeout: 20,
      attemptTimeout: 10,
      retries: 1,
      maxRedirects: 5, // RFC 9309, 2.3.1.2
      maxBytes: 64 * 2 ** 20, // what is read ends before
      proxy: "auto",
    });
    const request = new PageRequest(
      this.#parts,
      options,
      { reading: "body", asksRobots: false, judges: false },
      async (page) => {
        const hold = this.held.open("robots");
        try {
          const bytes = await collect(page, hold, ROBOTS_BYTES);
          return { head: page.head, bytes: bytes.subarray(0, ROBOTS_BYTES) };
        } finally {
          hold.end();
        }
      },
    );
    const { head, bytes } = await request.run();
    const { sent, received } = request.sums();
    return { status: head.status, headers: head.headers, bytes, sent, received };
  };
}

/**
 * `fetch` of a Fetcher that is opened for this one call, so that nothing at all is left of it.
 */
export async function fetchOnce(
  url: string | URL,
  options?: FetchOptions,
  parts?: FetcherOptions,
): Promise<FetchResult> {
  const fetcher = new Fetcher({ idleTime: 0, ...parts }); // Node 22 has no `using`
  try {
    return await fetcher.fetch(url, options);
  } finally {
    fetcher.close();
  }
}
