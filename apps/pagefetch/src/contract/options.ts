/** What a caller may ask for. All times are seconds, all sizes bytes. */

import { PageError } from "./errors.ts";
import type { HeaderList } from "./headers.ts";
import type { ProgressEvent } from "./result.ts";

/**
 * How the request introduces itself. `bot`: truthfully, with a product token and a contact; the
 * same token is what robots.txt is asked about. `custom`: with the caller's headers, verbatim.
 * `browser` is refused, as there is no browser behind it.
 */
export type IdentityName = "bot" | "custom" | "browser";

/** What may be made of a page. */
export const outputs = ["raw", "html", "text", "markdown", "links", "extract"] as const;
export type Output = (typeof outputs)[number];

/** Throws where rules stand beside an output that takes nothing out by them. */
export function checkExtracts(output: Output | undefined): void {
  if (output === undefined || output === "extract") return;
  throw new PageError(
    "bad_request",
    `\`extract\` needs output=extract, and the output is ${output}: leave one of them out`,
    { parameter: "extract" },
  );
}

export interface FetchOptions {
  /** @default "GET" */
  readonly method?: string | undefined;
  /** Added to those of the identity. Names in any case. */
  readonly headers?: HeaderList | Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** For all of it: hops, waits, attempts, the body. @default 60 */
  readonly timeout?: number | undefined;
  /** For one attempt, from connecting to the end of the body. @default 30 */
  readonly attemptTimeout?: number | undefined;
  /** For connecting: to the proxy, through it, TLS. @default 10 */
  readonly connectTimeout?: number | undefined;
  /** From the request to the last of the answer's headers. @default 20 */
  readonly headersTimeout?: number | undefined;
  /** How often one hop is tried again after a failure of whatever class. @default 4 */
  readonly retries?: number | undefined;
  /** Also tries again what may have had an effect (POST, PATCH). @default false */
  readonly retryUnsafe?: boolean | undefined;
  /** The most that a page may have, after decompression. @default 10 MiB */
  readonly maxBytes?: number | undefined;
  /** @default 10 */
  readonly maxRedirects?: number | undefined;
  /** Whether a redirect from https to http is followed. @default true */
  readonly allowDowngrade?: boolean | undefined;
  /** @default "obey" */
  readonly robots?: "obey" | "ignore" | undefined;
  /** @default "bot" */
  readonly identity?: IdentityName | undefined;
  /** `direct`, `auto`, or the name of a pool. A session refuses another than its own. @default "auto" */
  readonly proxy?: string | undefined;
  /** Two letters (ISO 3166): the country that a proxy has to be in. */
  readonly country?: string | undefined;
  /** Cookies, proxy and identity are kept under this name. @default one for this call alone */
  readonly session?: string | undefined;
  /**
   * By RFC 9111: `read` uses what is stored, `write` stores what comes, `use` does both.
   * @default "off"
   */
  readonly cache?: "off" | "read" | "write" | "use" | undefined;
  /**
   * A stored page that is older is asked about again, even if it says that it is fresh. Refused
   * unless `cache` is "read" or "use".
   */
  readonly maxAge?: number | undefined;
  /** Cancels the call; the caller gets the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each step, as it happens. Must not throw. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
}
