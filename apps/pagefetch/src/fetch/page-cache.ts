/**
 * Pages that are kept in memory, by URL and by the headers that they depend on. The ones that were
 * used least recently go when there are too many bytes.
 */

import { type HeaderList, headersOf } from "../contract/headers.ts";
import { Recent } from "../contract/recent.ts";
import {
  freshened,
  initialAge,
  isFresh,
  isGoodIfError,
  isStorable,
  varyOf,
} from "./cache-policy.ts";

export interface PageCacheOptions {
  /** Bytes of pages. @default 64 MiB */
  readonly memory?: number | undefined;
  /** Seconds since 1970. @default that of the machine's clock */
  readonly now?: (() => number) | undefined;
}

/** What is kept of an answer. */
export interface KeptPage {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeaderList;
  /** Decompressed. */
  readonly bytes: Uint8Array;
  /** The headers of the request that it depends on. */
  readonly vary: HeaderList;
  /** How old it was when it came, and when that was. */
  readonly age: number;
  readonly cameAt: number;
}

export interface Found {
  readonly page: KeptPage;
  readonly age: number;
  readonly isFresh: boolean;
  readonly isGoodIfError: boolean;
}

/** For one URL, by `Vary`. */
const MOST_VARIANTS = 8;
/** What a page costs besides its bytes. */
const OVERHEAD = 1000;

export class PageCache {
  readonly #memory: number;
  readonly #now: () => number;
  /** By URL. */
  readonly #pages: Recent<string, readonly KeptPage[]>;

  constructor({ memory = 64 * 2 ** 20, now = () => Date.now() / 1000 }: PageCacheOptions = {}) {
    this.#memory = memory;
    this.#pages = new Recent(memory, costOf);
    this.#now = now;
  }

  /** Bytes that are kept. */
  get size(): number {
    return this.#pages.weight;
  }

  now(): number {
    return this.#now();
  }

  /** The largest page that is kept. */
  get mostBytes(): number {
    return this.#memory / 8;
  }

  /** What there is for a GET of `url` with the headers `sent`. */
  find(url: string, sent: HeaderList): Found | undefined {
    const variants = this.#pages.get(url);
    const page = variants?.find(({ vary }) =>
      vary.every(([name, value]) => sentValue(sent, name) === value),
    );
    if (page === undefined) return undefined;
    const { status, headers } = page;
    const age = page.age + Math.max(0, this.#now() - page.cameAt);
    return {
      page,
      age,
      isFresh: isFresh(status, headers, age),
      isGoodIfError: isGoodIfError(status, headers, age),
    };
  }

  /** Keeps an answer that was asked for at `askedAt`, if that may be. */
  put(
    url: string,
    sent: HeaderList,
    answer: Pick<KeptPage, "status" | "statusText" | "headers" | "bytes">,
    askedAt: number,
  ): void {
    const { status, headers, bytes } = answer;
    if (!isStorable(status, headers, sent) || bytes.length > this.mostBytes) return;
    const cameAt = this.#now();
    const vary = varyOf(headers).map((name) => [name, sentValue(sent, name)] as const);
    this.#replace(url, { ...answer, vary, age: initialAge(headers, askedAt, cameAt), cameAt });
  }

  /** A 304 has come: the page is as it was, and some of its headers are new. */
  freshen(url: string, page: KeptPage, news: HeaderList, askedAt: number): KeptPage {
    const cameAt = this.#now();
    const headers = freshened(page.headers, news);
    const fresh = { ...page, headers, age: initialAge(news, askedAt, cameAt), cameAt };
    this.#replace(url, fresh);
    return fresh;
  }

  /** Forgets `url`: something may have changed it (RFC 9111, 4.4). */
  forget(url: string): void {
    this.#pages.delete(url);
  }

  #replace(url: string, page: KeptPage): void {
    const others = (this.#pages.get(url) ?? []).filter(
      ({ vary }) => JSON.stringify(vary) !== JSON.stringify(page.vary),
    );
    this.#pages.set(url, [page, ...others].slice(0, MOST_VARIANTS));
  }
}

function costOf(pages: readonly KeptPage[]): number {
  return pages.reduce((cost, { bytes }) => cost + bytes.length + OVERHEAD, 0);
}

function sentValue(headers: HeaderList, name: string): string {
  return headersOf(headers, name).join(", ");
}
