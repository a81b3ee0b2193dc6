/** What a fetch gives: the page, and the receipts for how it was got. */

import type { ErrorCode, Phase } from "./errors.ts";
import type { HeaderList } from "./headers.ts";
import type { Verdict } from "./parts.ts";

/** Seconds, and how many bytes crossed the wire on both sides of it. */
export interface Spent {
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
}

/** One request to one URL, whatever became of it. */
export interface Attempt extends Spent {
  /** From 0: which hop it was for. */
  readonly hop: number;
  readonly url: string;
  /** The id of the proxy, never its URL; "direct" without one. */
  readonly via: string;
  /** Of the target's answer, where there was one. */
  readonly status?: number | undefined;
  /** Why it is not the last one, or why there is no page. */
  readonly failure?: ErrorCode | undefined;
  /** What it was doing when it failed. */
  readonly phase?: Phase | undefined;
  /** Seconds that politeness made it wait. They are not in `seconds`. */
  readonly politeWait: number;
  /** Whether it went over a connection that was there. */
  readonly reused: boolean;
}

/** One URL of the way to the page. The last one is the page's. */
export interface Hop {
  readonly url: string;
  readonly method: string;
  readonly status: number;
  readonly robots: RobotsReceipt;
}

/** What robots.txt has said. */
export interface RobotsReceipt {
  readonly verdict: "allowed" | "disallowed" | "ignored" | "not asked";
  /** The line that decided. */
  readonly line?: number | undefined;
  readonly text?: string | undefined;
  /** Why, where no line did: "there is no robots.txt". */
  readonly because?: string | undefined;
}

export type CacheOutcome = "off" | "miss" | "hit" | "revalidated" | "stale";

/** How the name of the charset was found, in the order of the HTML standard. */
export interface Charset {
  readonly name: string;
  readonly source: "bom" | "header" | "meta" | "default";
}

/** What is known of a page before its body. */
export interface PageHead {
  /** The URL that was asked for. */
  readonly url: string;
  /** The URL that has answered. */
  readonly finalUrl: string;
  readonly status: number;
  readonly statusText: string;
  /** As the target has sent them, `content-encoding` included, although the body is decoded. */
  readonly headers: HeaderList;
  /** The last one is this page's. */
  readonly hops: readonly Hop[];
  /** Those that ended before this page was there. */
  readonly ended: readonly Attempt[];
  /** Seconds that politeness has cost up to here. */
  readonly politeWait: number;
  readonly robots: RobotsReceipt;
  readonly identity: string;
  readonly session?: string | undefined;
  readonly cache: CacheOutcome;
  /** What the classifier takes it for, where that is not simply a page. */
  readonly verdict?: Verdict | undefined;
}

/** A page, whole. */
export interface FetchResult extends PageHead {
  /** Decompressed, otherwise as it came. */
  readonly bytes: Uint8Array;
  readonly charset: Charset;
  readonly attempts: readonly Attempt[];
  /** Seconds in all. */
  readonly seconds: number;
  /** Over all attempts, robots.txt included. */
  readonly sent: number;
  readonly received: number;
  /** The page's text, by its charset. Made when asked for. */
  text(): string;
}

/** What `onProgress` is told. */
export type ProgressEvent =
  | { readonly kind: "phase"; readonly phase: Phase; readonly url: string }
  | { readonly kind: "attempt"; readonly attempt: Attempt }
  | { readonly kind: "hop"; readonly hop: Hop };
