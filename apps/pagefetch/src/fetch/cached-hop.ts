/** What one hop has to do with the cache: whether it needs to be made, and what is kept of it. */

import type { HeaderList } from "../contract/headers.ts";
import type { Hold } from "../contract/held.ts";
import type { Identity, Session } from "../contract/parts.ts";
import { isPersonal, validatorsOf } from "./cache-policy.ts";
import type { Checked } from "./check.ts";
import type { Body } from "./decode.ts";
import type { IncomingHead } from "./http-line.ts";
import type { Found, KeptPage, PageCache } from "./page-cache.ts";
import type { HopRequest } from "./redirect.ts";

const conditions = new Set(
  "if-match if-none-match if-modified-since if-unmodified-since if-range range".split(" "),
);

export class CachedHop {
  readonly #cache: PageCache;
  readonly #options: Checked;
  readonly #request: HopRequest;
  readonly #sent: HeaderList;
  readonly #found: Found | undefined;
  readonly #askedAt: number;

  constructor(cache: PageCache, options: Checked, request: HopRequest, sent: HeaderList) {
    this.#cache = cache;
    this.#options = options;
    this.#request = request;
    this.#sent = sent;
    this.#askedAt = cache.now();
    const reads = options.cache === "read" || options.cache === "use";
    this.#found = reads ? cache.find(request.url.href, sent) : undefined;
  }

  /**
   * What another request has to ask for, and with which headers, for its page to be this one;
   * undefined if pages are only read here, or only stored.
   */
  get key(): string | undefined {
    if (this.#options.cache !== "use") return undefined;
    const sent = this.#sent.filter(([name]) => !name.startsWith("signature"));
    return JSON.stringify([this.#request.url.href, sent]);
  }

  /** The page, if nobody has to be asked for it. */
  get fresh(): KeptPage | undefined {
    const { maxAge = Number.POSITIVE_INFINITY } = this.#options;
    const found = this.#found;
    return found?.isFresh === true && found.age <= maxAge ? withAge(found) : undefined;
  }

  /** The page, if it may be used because its host cannot be asked. */
  get goodIfError(): KeptPage | undefined {
    return this.#found?.isGoodIfError === true ? withAge(this.#found) : undefined;
  }

  /** The request, which asks whether the page has changed where one is kept. */
  get request(): HopRequest {
    if (this.#found === undefined) return this.#request;
    const asks = Object.entries(validatorsOf(this.#found.page.headers));
    return { ...this.#request, headers: [...this.#request.headers, ...asks] };
  }

  /** The page, if `head` says that it has not changed. */
  revalidated(head: IncomingHead): KeptPage | undefined {
    const found = this.#found;
    if (head.status !== 304 || found === undefined) return undefined;
    return this.#cache.freshen(this.#request.url.href, found.page, head.headers, this.#askedAt);
  }

  /**
   * The body, which is kept when it has been read to its end. A copy that is too large, or for which
   * there is no room while it is made, is not kept. `hold` counts it, and is ended here.
   */
  keeping(head: IncomingHead, body: Body, hold: Hold): Body {
    if (this.#options.cache === "read") return body;
    let pieces: Uint8Array[] | undefined = [];
    const drop = (): void => {
      pieces = undefined;
      hold.end();
    };
    return {
      read: async () => {
        const piece = await body.read();
        if (piece === undefined) {
          if (pieces !== undefined) this.#keep(head, pieces);
          drop();
        } else if (pieces !== undefined) {
          const fits = hold.bytes + piece.length <= this.#cache.mostBytes;
          if (fits && hold.tryAdd(piece.length)) pieces.push(piece);
          else drop();
        }
        return piece;
      },
      close: () => {
        drop();
        body.close();
      },
    };
  }

  #keep({ status, statusText, headers }: IncomingHead, pieces: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(pieces);
    const { href } = this.#request.url;
    this.#cache.put(href, this.#sent, { status, statusText, headers, bytes }, this.#askedAt);
  }
}

/** Undefined where the cache has no part: not wanted, no GET, or somebody's own page. */
export async function cachedHop(
  cache: PageCache,
  options: Checked,
  request: HopRequest,
  identity: Identity,
  session: Session,
): Promise<CachedHop | undefined> {
  const { url, method, headers: given } = request;
  if (options.cache === "off" || method !== "GET") return undefined;
  if (given.some(([name]) => conditions.has(name))) return undefined;
  if (isPersonal(given) || session.cookiesFor(url) !== undefined) return undefined;
  const sent = await identity.headersFor({ url, method, given });
  return isPersonal(sent) ? undefined : new CachedHop(cache, options, request, sent);
}

/** Without what was asked of this hop alone. */
export function unconditional(request: HopRequest): HopRequest {
  return { ...request, headers: request.headers.filter(([name]) => !conditions.has(name)) };
}

/** RFC 9111, 5.1: what is kept says how old it is. */
function withAge({ page, age }: Found): KeptPage {
  const others = page.headers.filter(([name]) => name !== "age");
  return { ...page, headers: [...others, ["age", String(Math.floor(age))]] };
}

/** A body that is here already. */
export function bodyOf({ bytes }: KeptPage): Body {
  let rest: Uint8Array | undefined = bytes.length === 0 ? undefined : bytes;
  return {
    async read() {
      const piece = rest;
      rest = undefined;
      return piece;
    },
    close() {},
  };
}

/** Whether a request like this may have changed what is kept of its URL (RFC 9111, 4.4). */
export function mayHaveChanged(method: string, status: number): boolean {
  return !["GET", "HEAD", "OPTIONS", "TRACE"].includes(method) && status >= 200 && status < 400;
}

/** For a 304 whose page is served: what it says of itself. */
export function headOf({ status, statusText, headers }: KeptPage): IncomingHead {
  return { status, statusText, headers };
}
