// What can go wrong with one page, as a short list of kinds.
//
// A crawl meets every fault that the network knows, and must survive all of them; but it must not
// survive its own cancellation, nor hide a bug. So `failureOf` names the faults that belong to the
// page, and throws everything else on: that is the one `catch` rule of this program.

import * as asyncio from "asyncio-ts";
import { errors } from "undici";

export interface FailureOptions {
  /** True if the same request may well succeed a moment later. */
  readonly transient?: boolean;
  /** Seconds that the server asks us to wait before the next try. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/** A page that could not be had. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** What the summary counts by: "timeout", "HTTP 500", "redirect circle", ... */
  readonly kind: string;
  readonly transient: boolean;
  readonly retryAfter: number;

  constructor(kind: string, { transient = false, retryAfter = 0, cause }: FailureOptions = {}) {
    super(cause instanceof Error && cause.message !== "" ? `${kind} (${cause.message})` : kind, {
      cause,
    });
    this.kind = kind;
    this.transient = transient;
    this.retryAfter = retryAfter;
  }
}

const kindsByCode: Readonly<Record<string, readonly [kind: string, transient: boolean]>> = {
  ECONNREFUSED: ["connection refused", true],
  ECONNRESET: ["connection lost", true],
  EPIPE: ["connection lost", true],
  UND_ERR_SOCKET: ["connection lost", true],
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: ["connection lost", true],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ["connection lost", true],
  ETIMEDOUT: ["timeout", true],
  UND_ERR_CONNECT_TIMEOUT: ["timeout", true],
  EAI_AGAIN: ["host not found", true],
  ENOTFOUND: ["host not found", false],
  EHOSTUNREACH: ["host unreachable", false],
  ENETUNREACH: ["host unreachable", false],
};
const certificateCodes = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
const networkCodes = /^(E[A-Z0-9]+$|UND_ERR_)/;

/**
 * The failure that an error of the network stands for.
 *
 * @throws the error itself if it is none: a CancelledError has to reach the code that cancelled, a
 * bug has to end the program.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof asyncio.CancelledError) throw error;
  if (error instanceof Failure) return error;
  if (error instanceof asyncio.TimeoutError) return new Failure("timeout", { transient: true });
  if (error instanceof errors.HTTPParserError) return new Failure("not HTTP", { cause: error });
  const code = codeOf(error);
  const known = kindsByCode[code];
  if (known !== undefined) return new Failure(known[0], { transient: known[1], cause: error });
  if (certificateCodes.test(code)) return new Failure("no trusted connection", { cause: error });
  if (networkCodes.test(code) && code !== "UND_ERR_INVALID_ARG")
    return new Failure(code, { cause: error });
  throw error;
}

/** The failure that an HTTP status stands for; being asked to slow down counts as passing. */
export function failureOfStatus(status: number, retryAfter: string | undefined): Failure {
  const seconds = Number(retryAfter ?? 0); // it may also be a date: then our own backoff has to do
  return new Failure(`HTTP ${status}`, {
    transient: status >= 500 || status === 429 || status === 408,
    retryAfter: Number.isFinite(seconds) ? seconds : 0,
  });
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !("code" in error)) return "";
  return String(error.code);
}
