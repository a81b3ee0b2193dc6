/** pagefetch as a library: the pipeline with all rooms, polite unless its operator says otherwise. */

import { createClassifier } from "./classify/classifier.ts";
import type { FetchOptions } from "./contract/options.ts";
import type { FetchResult } from "./contract/result.ts";
import { Fetcher, type FetcherOptions } from "./fetch/fetcher.ts";
import { checkParts } from "./fetch/parts.ts";
import { createIdentities } from "./identity/identity.ts";
import { createPoliteness } from "./politeness/politeness.ts";
import { createRobots } from "./robots/robots.ts";
import { createSessions } from "./sessions/sessions.ts";

export {
  type Client,
  type ClientFetchOptions,
  type ClientOptions,
  type ClientPage,
  type Contents,
  createClient,
  ServiceError,
} from "./client/client.ts";
export type * from "./contract/errors.ts";
export { errorKinds, PageError } from "./contract/errors.ts";
export type * from "./contract/headers.ts";
export { HeldBytes } from "./contract/held.ts";
export type * from "./contract/options.ts";
export type * from "./contract/parts.ts";
export type * from "./contract/result.ts";
export { Egress, type EgressOptions } from "./egress/egress.ts";
export { Fetcher, type FetcherOptions } from "./fetch/fetcher.ts";
export type { LivePage } from "./fetch/page.ts";

/**
 * A Fetcher with every room in it: robots.txt is obeyed, sites are asked politely, sessions keep
 * cookies, and what stands in place of a page is told from one. Each can be replaced. Close it.
 */
export function openFetcher(options: FetcherOptions = {}): Fetcher {
  checkParts(options);
  return new Fetcher({
    politeness: createPoliteness(),
    sessions: createSessions(),
    identities: createIdentities(),
    classifier: createClassifier(),
    robots: (get) => createRobots(get),
    ...options,
  });
}

/** What is to be polite has to remember. It keeps no connections. */
let shared: Fetcher | undefined;

/**
 * Fetches a page and waits until all of it is here. Calls of one process share what they know of
 * robots files, and how often a site was asked. Cancelled, or when the deadline passes, the call
 * ends its connections before it rejects.
 * @throws PageError, and nothing else but CancelledError and the reason of `options.signal`.
 */
export async function fetchPage(url: string | URL, options?: FetchOptions): Promise<FetchResult> {
  shared ??= openFetcher({ idleTime: 0 });
  return await shared.fetch(url, options);
}
