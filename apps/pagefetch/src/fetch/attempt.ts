/**
 * One attempt at one hop: route, turn, connection, request, answer. It is a scope of its own, and
 * what it took is given back when it ends, however it ends.
 */

import { CancelledError, getRunningLoop } from "asyncio-ts";
import { PageError, type Phase } from "../contract/errors.ts";
import { type HeaderList, headerOf, headersOf } from "../contract/headers.ts";
import type { Identity, Outcome, Route, Session, Turn } from "../contract/parts.ts";
import type { Attempt } from "../contract/result.ts";
import type { Target } from "../egress/egress.ts";
import { classOf, classOfStatus, isRepeatable, type RetryPolicy } from "../retry/policy.ts";
import { retryAfter } from "../retry/retry-after.ts";
import type { Checked } from "./check.ts";
import { HttpLine, type IncomingHead } from "./http-line.ts";
import type { Parts } from "./parts.ts";
import { type HopRequest, redirected } from "./redirect.ts";
import { within } from "./within.ts";

/** The next attempt, in `seconds`. */
export class Again extends Error {
  readonly seconds: number;

  constructor(cause: PageError, seconds: number) {
    super(cause.message, { cause });
    this.seconds = seconds;
  }
}

/** What an attempt needs to know of the request that it is for. */
export interface AttemptContext {
  readonly parts: Parts;
  readonly options: Checked;
  readonly session: Session;
  readonly identity: Identity;
  readonly hop: number;
  readonly request: HopRequest;
  readonly crawlDelay: number | undefined;
  readonly policy: RetryPolicy;
  /** Ids of routes that have failed. */
  readonly avoid: string[];
  /** Ids of routes by which something has failed, whosever fault it was. */
  readonly doubtful: string[];
  /** Notes what the request is doing. */
  enter(phase: Phase): void;
  phase(): Phase;
  ended(attempt: Attempt): void;
}

/** The answer that is the page, on its connection. */
export interface Answered {
  readonly head: IncomingHead;
  readonly line: HttpLine;
  /** Seconds that this attempt has waited for its turn. */
  readonly politeWait: number;
}

export type HopOutcome<T> =
  | { readonly next: HopRequest; readonly status: number }
  | { readonly value: T; readonly status: number };

/** Bodies of redirects up to this size are read, so that the connection can be kept. */
const DRAINED = 16 * 1024;
const MOST_COOKIES = 50;

/**
 * Runs one attempt. An answer that is no redirect, and that no other attempt is made for, is handed
 * to `consume`, whose value it gives.
 * @throws Again if there is to be another attempt, else PageError.
 */
export async function attempt<T>(
  context: AttemptContext,
  consume: (answered: Answered) => Promise<T>,
): Promise<HopOutcome<T>> {
  const running = new RunningAttempt(context);
  try {
    return await running.run(consume);
  } catch (error) {
    throw running.failed(error);
  } finally {
    running.end();
  }
}

class RunningAttempt {
  readonly #context: AttemptContext;
  readonly #loop = getRunningLoop();
  #route: Route | undefined = undefined;
  #turn: Turn | undefined = undefined;
  #line: HttpLine | undefined = undefined;
  /** Bytes of its connection before this attempt. */
  #before: { readonly sent: number; readonly received: number } = { sent: 0, received: 0 };
  #sent = 0;
  #received = 0;
  #startedAt = this.#loop.time();
  #outcome: Outcome = {};
  #status: number | undefined = undefined;
  #failure: PageError | undefined = undefined;
  #isReused = false;
  /** True once the target may have seen the request. */
  #wasSent = false;

  constructor(context: AttemptContext) {
    this.#context = context;
  }

  async run<T>(consume: (answered: Answered) => Promise<T>): Promise<HopOutcome<T>> {
    const { parts, options, request, crawlDelay } = this.#context;
    const { url } = request;
    this.#context.enter("resolve");
    const target = await parts.egress.resolve(url);
    this.#context.enter("proxy");
    const route = await this.#chooseRoute();
    this.#route = route;
    this.#context.enter("polite_wait");
    const { addresses } = target;
    this.#turn = await parts.politeness.enter({ url, addresses, crawlDelay });
    this.#startedAt = this.#loop.time();
    return await within(options.attemptTimeout, "attemptTimeout", this.#context.phase, () =>
      this.#exchange(target, route, consume),
    );
  }

  /** Another way than those that are in doubt, if there is one. A session keeps to its own. */
  async #chooseRoute(): Promise<Route> {
    const { parts, options, session, request, avoid, doubtful } = this.#context;
    const { proxy, country } = options;
    const ask = { url: request.url, proxy, country, session };
    if (doubtful.length > 0 && session.name === undefined) {
      try {
        return await parts.proxies.route({ ...ask, avoid: [...avoid, ...doubtful] });
      } catch (error) {
        if (!(error instanceof PageError) || error.code !== "proxy_failed") throw error;
      }
    }
    return await parts.proxies.route({ ...ask, avoid });
  }

  /** What comes out of the attempt for `error`. */
  failed(error: unknown): unknown {
    const { policy, avoid, doubtful } = this.#context;
    if (error instanceof CancelledError) this.#outcome = { ...this.#outcome, cancelled: true };
    if (!(error instanceof PageError)) {
      if (error instanceof Again && error.cause instanceof PageError) this.#failure = error.cause;
      return error;
    }
    const { code, details } = error;
    const phase = details.phase ?? this.#context.phase();
    const known = error.with({ phase, url: this.#context.request.url.href });
    this.#failure = known;
    this.#outcome = { ...this.#outcome, failure: code };
    const id = this.#route?.id;
    if (id !== undefined && code === "proxy_failed") avoid.push(id);
    else if (id !== undefined && (error.fault === "network" || code === "timeout"))
      doubtful.push(id);
    // What has come to the caller's own function cannot be taken back.
    const fault = phase === "consume" ? undefined : classOf(code, phase);
    const delay = fault && policy.next(fault, { wasSent: this.#wasSent });
    return delay === undefined ? known : new Again(known, delay);
  }

  /** Gives back what was taken. */
  end(): void {
    const { hop, request } = this.#context;
    this.#leaveLine();
    this.#turn?.end(this.#outcome);
    this.#route?.end(this.#outcome);
    this.#context.ended({
      hop,
      url: request.url.href,
      via: this.#route?.id ?? "direct",
      status: this.#status,
      failure: this.#failure?.code,
      phase: this.#failure?.details.phase,
      politeWait: this.#turn?.waited ?? 0,
      seconds: this.#loop.time() - this.#startedAt,
      sent: this.#sent,
      received: this.#received,
      reused: this.#isReused,
    });
  }

  async #exchange<T>(
    target: Target,
    route: Route,
    consume: (answered: Answered) => Promise<T>,
  ): Promise<HopOutcome<T>> {
    const { request, session, options, policy } = this.#context;
    const head = await this.#ask(target, route);
    const { status, headers } = head;
    this.#status = status;
    const asked = retryAfter(headerOf(headers, "retry-after"), headerOf(headers, "date"));
    const latency = this.#loop.time() - this.#startedAt;
    this.#outcome = { status, latency, retryAfter: asked };
    const cookies = headersOf(headers, "set-cookie");
    if (cookies.length > 0) session.setCookies(request.url, cookies.slice(0, MOST_COOKIES));

    const next = redirected(request, head, options.allowDowngrade);
    if (next !== undefined) {
      await this.#drain();
      return { next, status };
    }
    const fault = classOfStatus(status, asked);
    if (fault !== undefined) {
      const delay = policy.next(fault, { wasSent: true, retryAfter: asked });
      const answer = { status, headers };
      if (fault === "asked") {
        const error = new PageError(
          "target_rate_limited",
          `the host answers ${status}: too many requests`,
          {
            phase: "headers",
            retryAfter: asked,
            answer,
          },
        );
        this.#outcome = { ...this.#outcome, failure: error.code };
        if (delay === undefined) throw error;
        throw new Again(error, delay);
      }
      if (delay !== undefined)
        throw new Again(
          new PageError("timeout", `the host answers ${status}`, { phase: "retry_wait", answer }),
          delay,
        );
    }
    if (status === 402)
      throw new PageError("target_payment_required", "the host wants to be paid", {
        phase: "headers",
        answer: { status, headers },
      });
    const line = this.#line as HttpLine; // `#ask` has set it
    return { value: await consume({ head, line, politeWait: this.#turn?.waited ?? 0 }), status };
  }

  /** Sends the request over a connection that is there, or over a new one. */
  async #ask(target: Target, route: Route): Promise<IncomingHead> {
    const { parts, request } = this.#context;
    const headers = await this.#headers();
    const { url, method, body } = request;
    const path = url.pathname + url.search;
    const outgoing = { method, path, headers, body };
    const kept = parts.idle.take(keyOf(route, url), target.addresses);
    if (kept !== undefined) {
      this.#useLine(kept);
      this.#isReused = true;
      try {
        return await this.#send(kept, outgoing);
      } catch (error) {
        // It was closed while it was idle, which says nothing about the host.
        const isSilent = kept.bytes.received === this.#before.received;
        if (!(error instanceof PageError) || !isSilent || !isRepeatable(method)) throw error;
        this.#leaveLine();
        this.#isReused = false;
      }
    }
    return await this.#send(await this.#dial(target, route), outgoing);
  }

  async #dial(target: Target, route: Route): Promise<HttpLine> {
    const { parts, options } = this.#context;
    this.#context.enter("connect");
    const { egress, idle } = parts;
    const line = await within(
      options.connectTimeout,
      "connectTimeout",
      () => "connect",
      () => egress.dial(target, route.proxy),
    );
    const { wire } = egress;
    const nudge = wire.nudge === undefined ? undefined : () => wire.nudge?.();
    const http = new HttpLine(line, nudge, idle.keeps);
    this.#useLine(http);
    this.#before = { sent: 0, received: 0 }; // the handshakes count
    return http;
  }

  #send(line: HttpLine, outgoing: Parameters<HttpLine["send"]>[0]): Promise<IncomingHead> {
    this.#context.enter("headers");
    this.#wasSent = true;
    const seconds = this.#context.options.headersTimeout;
    return within(
      seconds,
      "headersTimeout",
      () => "headers",
      () => line.send(outgoing),
    );
  }

  async #headers(): Promise<HeaderList> {
    const { identity, session, request } = this.#context;
    const { url, method } = request;
    const given = request.headers.filter(([name]) => name !== "cookie");
    const own = await identity.headersFor({ url, method, given });
    const cookies = [...headersOf(request.headers, "cookie"), session.cookiesFor(url) ?? ""];
    const cookie = cookies.filter((one) => one !== "").join("; ");
    return [["host", url.host], ...own, ...(cookie === "" ? [] : [["cookie", cookie] as const])];
  }

  /** Reads the rest of a short answer, so that its connection can serve the next hop. */
  async #drain(): Promise<void> {
    const line = this.#line;
    let left = DRAINED;
    for (let piece = await line?.read(); piece !== undefined; piece = await line?.read()) {
      left -= piece.length;
      if (left < 0) return; // the connection is not worth it
    }
  }

  #useLine(line: HttpLine): void {
    this.#line = line;
    this.#before = line.bytes;
  }

  /** Counts what has crossed it, and keeps it if it can be used again. */
  #leaveLine(): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#line = undefined;
    const { sent, received } = line.bytes;
    this.#sent += sent - this.#before.sent;
    this.#received += received - this.#before.received;
    const { parts, request } = this.#context;
    if (this.#route === undefined) line.destroy();
    else parts.idle.give(keyOf(this.#route, request.url), line);
  }
}

function keyOf(route: Route, url: URL): string {
  return `${route.id} ${url.origin}`;
}
