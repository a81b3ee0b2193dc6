/**
 * When a hop is tried again. What went wrong decides, each class with an allowance of its own, since
 * what cures one does nothing for another: a host that is down wants time, a proxy that is down
 * wants another proxy.
 *
 * Nothing is tried again that may have had an effect on the target, unless it never left, or the
 * caller says that it does no harm.
 */

import { timeLeft } from "asyncio-ts";
import type { ErrorCode } from "../contract/errors.ts";
import { Recent } from "../contract/recent.ts";

/** What went wrong, as far as trying again is concerned. */
export type FaultClass = "network" | "proxy" | "status" | "asked" | "body";

interface Allowance {
  /** How many more attempts. */
  readonly most: number;
  /** Seconds before the first of them; doubled for each, and drawn between 0 and that. */
  readonly first: number;
  readonly longest: number;
}

const allowances: Readonly<Record<FaultClass, Allowance>> = {
  network: { most: 3, first: 0.25, longest: 8 },
  /** Another proxy is asked, so there is nothing to wait for. */
  proxy: { most: 3, first: 0, longest: 0 },
  status: { most: 2, first: 0.5, longest: 8 },
  /** The target names the time. Bounded by the deadline; this is for hosts that say it for ever. */
  asked: { most: 5, first: 1, longest: 60 },
  body: { most: 1, first: 0.25, longest: 8 },
};

/** The class of a failure; undefined if trying again cannot help. */
export function classOf(code: ErrorCode, phase: string | undefined): FaultClass | undefined {
  if (code === "proxy_failed") return "proxy";
  if (code === "reset") return phase === "body" ? "body" : "network";
  if (code === "dns_failed" || code === "connect_failed") return "network";
  // The deadline of one attempt; that of the whole request leaves no time for another one.
  if (code === "timeout") return phase === "body" ? "body" : "network";
  return undefined;
}

/** Answers that a later try may cure. */
const again = new Set([408, 425, 500, 502, 503, 504, 522, 524]);

/** The class of an answer; undefined if it is what the caller gets. */
export function classOfStatus(
  status: number,
  retryAfter: number | undefined,
): FaultClass | undefined {
  if (status === 429 || (status === 503 && retryAfter !== undefined)) return "asked";
  return again.has(status) ? "status" : undefined;
}

/** Methods that may be repeated (RFC 9110, 9.2.2). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "QUERY"]);

export function isRepeatable(method: string): boolean {
  return idempotent.has(method);
}

export interface RetryPolicyOptions {
  /** How many attempts more than one, whatever the class. */
  readonly retries: number;
  /** Whether a request that has reached the target may be sent again. */
  readonly repeats: boolean;
  readonly budget: RetryBudgets;
  readonly host: string;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** Of one hop. */
export class RetryPolicy {
  readonly #options: RetryPolicyOptions;
  readonly #used: Record<FaultClass, number> = {
    network: 0,
    proxy: 0,
    status: 0,
    asked: 0,
    body: 0,
  };
  #all = 0;

  constructor(options: RetryPolicyOptions) {
    this.#options = options;
    options.budget.noteCall(options.host);
  }

  /**
   * Seconds until the next attempt, which is taken from the allowance; undefined: there is none.
   * `wasSent`: the request may have reached the target.
   */
  next(
    fault: FaultClass,
    {
      wasSent,
      retryAfter,
    }: { readonly wasSent: boolean; readonly retryAfter?: number | undefined },
  ): number | undefined {
    const { retries, repeats, budget, host, random } = this.#options;
    const { most, first, longest } = allowances[fault];
    if (wasSent && !repeats) return undefined;
    const used = this.#used[fault];
    if (used >= most || (fault !== "asked" && this.#all >= retries) || retries === 0)
      return undefined;
    const drawn = random() * Math.min(first * 2 ** used, longest);
    // What the target asks for is the least; the draw spreads those who were asked together.
    const seconds = fault === "asked" ? (retryAfter ?? first * 2 ** used) + drawn : drawn;
    if (seconds >= timeLeft()) return undefined;
    // Who waits as long as it was asked to is no burden.
    if (fault !== "asked" && !budget.allows(host)) return undefined;
    this.#used[fault]++;
    if (fault !== "asked") this.#all++;
    return seconds;
  }
}

/** Retries for each request, in the long run. */
const RATIO = 0.1;
/** Retries that are there at the beginning, and at most saved. */
const SAVED = 10;
const SAVED_BY_ALL = 100;
const MOST_HOSTS = 10_000;

/**
 * Keeps retries a tenth of all requests, by host and over all, so that they cannot become the
 * outage. A bucket of tokens: a request puts a tenth of one in, a retry takes one out. Source:
 * Finagle's RetryBudget.
 */
export class RetryBudgets {
  readonly #hosts = new Recent<string, number>(MOST_HOSTS);
  #all = SAVED_BY_ALL;

  noteCall(host: string): void {
    const tokens = this.#hosts.get(host) ?? SAVED;
    this.#hosts.set(host, Math.min(tokens + RATIO, SAVED));
    this.#all = Math.min(this.#all + RATIO, SAVED_BY_ALL);
  }

  allows(host: string): boolean {
    const tokens = this.#hosts.get(host) ?? SAVED;
    if (tokens < 1 || this.#all < 1) return false;
    this.#hosts.set(host, tokens - 1);
    this.#all -= 1;
    return true;
  }
}
