/** Redirects by the rules of the Fetch standard (HTTP-redirect fetch). */

import { PageError } from "../contract/errors.ts";
import { type HeaderList, headerOf } from "../contract/headers.ts";
import { checkedUrl } from "./check.ts";
import type { IncomingHead } from "./http-line.ts";

/** One hop, as it is to be sent. */
export interface HopRequest {
  readonly url: URL;
  readonly method: string;
  /** The caller's, as far as they are for this host. */
  readonly headers: HeaderList;
  readonly body: Uint8Array | undefined;
}

const statuses = new Set([301, 302, 303, 307, 308]);
/** Are for the host that they were given for, and no other one. */
const secret = new Set(["authorization", "cookie", "proxy-authorization"]);
const ofBody = new Set([
  "content-type",
  "content-encoding",
  "content-language",
  "content-location",
]);

/**
 * The next hop; undefined if `head` leads nowhere.
 * @throws PageError `unsupported_content` for a place that is no URL of HTTP; `policy_denied`.
 */
export function redirected(
  from: HopRequest,
  head: IncomingHead,
  allowDowngrade: boolean,
): HopRequest | undefined {
  if (!statuses.has(head.status)) return undefined;
  const location = headerOf(head.headers, "location");
  if (location === undefined) return undefined;
  const url = placeOf(location, from.url);
  if (!allowDowngrade && from.url.protocol === "https:" && url.protocol === "http:")
    throw new PageError("policy_denied", "the host redirects from https to http", {
      phase: "headers",
      parameter: "allowDowngrade",
    });
  const { method } = from;
  const isPost = method === "POST" && (head.status === 301 || head.status === 302);
  const isOther = head.status === 303 && method !== "GET" && method !== "HEAD";
  const becomesGet = isPost || isOther;
  const headers = from.headers.filter(
    ([name]) =>
      !(becomesGet && ofBody.has(name)) && !(url.origin !== from.url.origin && secret.has(name)),
  );
  return {
    url,
    method: becomesGet ? "GET" : method,
    headers,
    body: becomesGet ? undefined : from.body,
  };
}

function placeOf(location: string, base: URL): URL {
  // Headers are bytes, and these are mostly UTF-8.
  const text = Buffer.from(location, "latin1").toString("utf8");
  try {
    const url = new URL(text, base);
    url.username = url.password = "";
    return checkedUrl(url);
  } catch {
    throw new PageError("unsupported_content", "the host redirects to what is no URL of HTTP", {
      phase: "headers",
    });
  }
}
