/**
 * How a fetch ends without a page: one class, and a closed set of codes. Codes are permanent and
 * are what callers, ledgers and tests look at; messages may change. No message, and no field, has
 * the address that a name was resolved to, a proxy's URL, or anything else that is secret.
 */

import type { HeaderList } from "./headers.ts";
import type { Attempt, Hop } from "./result.ts";

/** Who has to act for the next try to end better. */
export type Fault = "caller" | "policy" | "target" | "network" | "phase" | "us";

/** What a request was doing. The phase of a `timeout` says what took so long. */
export type Phase =
  | "queue"
  | "robots"
  | "resolve"
  | "proxy"
  | "polite_wait"
  | "connect"
  | "headers"
  | "body"
  | "retry_wait"
  | "solve"
  | "consume";

interface Kind {
  /** The HTTP status of our own answer. */
  readonly status: number;
  readonly fault: Fault;
}

/** Every way to fail. */
export const errorKinds = {
  bad_request: { status: 400, fault: "caller" },
  unknown_parameter: { status: 400, fault: "caller" },
  unsupported_parameter: { status: 400, fault: "caller" },
  unauthorized: { status: 401, fault: "caller" },
  over_budget: { status: 402, fault: "caller" },
  rate_limited: { status: 429, fault: "caller" },
  concurrency_limited: { status: 429, fault: "caller" },
  robots_disallowed: { status: 403, fault: "policy" },
  policy_denied: { status: 403, fault: "policy" },
  /** Says nothing of the address: who asks could read an internal DNS by it. */
  blocked_address: { status: 403, fault: "policy" },
  target_payment_required: { status: 424, fault: "target" },
  captcha: { status: 424, fault: "target" },
  blocked: { status: 424, fault: "target" },
  target_rate_limited: { status: 424, fault: "target" },
  dns_failed: { status: 502, fault: "network" },
  connect_failed: { status: 502, fault: "network" },
  tls_failed: { status: 502, fault: "network" },
  proxy_failed: { status: 502, fault: "network" },
  /** The connection was lost, or what came over it was no HTTP, or less than it had promised. */
  reset: { status: 502, fault: "network" },
  timeout: { status: 504, fault: "phase" },
  too_large: { status: 502, fault: "target" },
  too_many_redirects: { status: 502, fault: "target" },
  unsupported_content: { status: 502, fault: "target" },
  overloaded: { status: 503, fault: "us" },
  shutting_down: { status: 503, fault: "us" },
} as const satisfies Readonly<Record<string, Kind>>;

export type ErrorCode = keyof typeof errorKinds;

/** What is known besides code and message. Everything may be shown to the caller. */
export interface PageErrorDetails {
  /** What it was doing. */
  readonly phase?: Phase | undefined;
  /** The URL that failed: that of the last hop. */
  readonly url?: string | undefined;
  /** Seconds after which a new try makes sense. */
  readonly retryAfter?: number | undefined;
  /** The limit that was hit, in bytes, seconds or pieces, as its name says. */
  readonly limit?: { readonly name: string; readonly value: number } | undefined;
  /** What the target has said, where it has said something. */
  readonly answer?: { readonly status: number; readonly headers: HeaderList } | undefined;
  /** What was found on a page that is no page: the vendor of a CAPTCHA and the evidence. */
  readonly evidence?: readonly string[] | undefined;
  readonly vendor?: string | undefined;
  /** The parameter that is at fault. */
  readonly parameter?: string | undefined;
  /** Set by the pipeline: what was tried. */
  readonly attempts?: readonly Attempt[] | undefined;
  readonly hops?: readonly Hop[] | undefined;
}

/**
 * A fetch has ended without a page. Cancellation is none of these: a caller that goes away gets its
 * CancelledError.
 */
export class PageError extends Error {
  override readonly name = "PageError";
  readonly code: ErrorCode;
  readonly details: PageErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    details: PageErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorKinds[this.code].status;
  }

  get fault(): Fault {
    return errorKinds[this.code].fault;
  }

  /** The same error with more known of it: what is there already stays. */
  with(details: PageErrorDetails): PageError {
    const merged = { ...details, ...this.details };
    return new PageError(this.code, this.message, merged, { cause: this.cause });
  }
}
