/**
 * One request for one page, from its options to its end: hop by hop, each with as many attempts as
 * its retry policy allows.
 */

import { getRunningLoop } from "asyncio-ts";
import { retry, type Step } from "asyncio-ts/patterns";
import { PageError, type Phase } from "../contract/errors.ts";
import { headerOf } from "../contract/headers.ts";
import type { Identity, RobotsAnswer, Session, Verdict } from "../contract/parts.ts";
import type { Attempt, CacheOutcome, Hop, PageHead, RobotsReceipt } from "../contract/result.ts";
import { isRepeatable, RetryPolicy } from "../retry/policy.ts";
import { Again, type Answered, attempt, type HopOutcome } from "./attempt.ts";
import {
  bodyOf,
  type CachedHop,
  cachedHop,
  headOf,
  mayHaveChanged,
  unconditional,
} from "./cached-hop.ts";
import type { Checked } from "./check.ts";
import { type Body, decoded, encodingsOf } from "./decode.ts";
import type { IncomingHead } from "./http-line.ts";
import { type LivePage, livePage, PeekedBody, type Sums, tooLarge } from "./page.ts";
import type { KeptPage } from "./page-cache.ts";
import type { Parts } from "./parts.ts";
import type { HopRequest } from "./redirect.ts";
import { within } from "./within.ts";

export interface RequestSettings {
  /** `body`: what reads the page is ours, and may be begun again; `consume`: it is the caller's. */
  readonly reading: "body" | "consume";
  /** False for robots.txt itself. */
  readonly asksRobots: boolean;
  /** False: whatever comes is a page. */
  readonly judges: boolean;
}

/** Verdicts that stand for an error. The others are told with the page. */
const refusals = {
  captcha: "captcha",
  challenge: "captcha",
  block: "blocked",
  rate_limit: "target_rate_limited",
} as const;

/** One hop, and what was found out before its first attempt. */
interface KnownHop {
  readonly request: HopRequest;
  readonly session: Session;
  readonly identity: Identity;
  readonly cached: CachedHop | undefined;
  readonly robots: RobotsReceipt;
}

export class PageRequest<T> {
  readonly #parts: Parts;
  readonly #options: Checked;
  readonly #settings: RequestSettings;
  readonly #consume: (page: LivePage) => Promise<T>;
  readonly #attempts: Attempt[] = [];
  readonly #hops: Hop[] = [];
  /** Seconds that the attempt which runs has waited for its turn. */
  #waitOfAttempt = 0;
  readonly #startedAt = getRunningLoop().time();
  #phase: Phase = "queue";
  #url: string;
  /** The last CAPTCHA, and whether the operator's solver was asked: once for a request. */
  #challenge: Verdict | undefined = undefined;
  #hasAsked = false;
  /** Bytes that were spent on robots.txt. */
  #aside = { sent: 0, received: 0 };

  constructor(
    parts: Parts,
    options: Checked,
    settings: RequestSettings,
    consume: (page: LivePage) => Promise<T>,
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#settings = settings;
    this.#consume = consume;
    this.#url = options.url.href;
  }

  /** @throws PageError with the attempts and hops that there were. */
  async run(): Promise<T> {
    const { timeout, signal } = this.#options;
    try {
      return await within(
        timeout,
        "timeout",
        () => this.#phase,
        () => this.#followHops(),
        { signal },
      );
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      const attempts = this.#attempts;
      const hops = this.#hops;
      throw error.with({ attempts, hops, url: this.#url, phase: this.#phase });
    }
  }

  sums(): Sums {
    const attempts = this.#attempts;
    const sum = (of: (one: Attempt) => number): number =>
      attempts.reduce((sum, one) => sum + of(one), 0);
    return {
      attempts,
      seconds: getRunningLoop().time() - this.#startedAt,
      politeWait: sum(({ politeWait }) => politeWait),
      sent: sum(({ sent }) => sent) + this.#aside.sent,
      received: sum(({ received }) => received) + this.#aside.received,
    };
  }

  async #followHops(): Promise<T> {
    const { url, method, headers, bytes, maxRedirects, session: name } = this.#options;
    const session = await this.#parts.sessions.open(name);
    const identity = this.#parts.identities.get(this.#options.identity, session, headers);
    const { proxy, country } = this.#options;
    this.#parts.proxies.check?.({ proxy, country, session });
    let request: HopRequest = { url, method, headers, body: bytes };
    for (let hop = 0; ; hop++) {
      this.#url = request.url.href;
      const look = async (): Promise<KnownHop> => ({
        request,
        session,
        identity,
        cached: await cachedHop(this.#parts.cache, this.#options, request, identity, session),
        robots: { verdict: "not asked" },
      });
      const { cached, outcome } = await this.#makeHop(hop, await look(), look);
      if ("value" in outcome) return outcome.value;
      if (hop >= maxRedirects)
        throw new PageError("too_many_redirects", `there are more than ${maxRedirects} redirects`, {
          phase: "headers",
          limit: { name: "maxRedirects", value: maxRedirects },
        });
      request = cached === undefined ? outcome.next : unconditional(outcome.next);
    }
  }

  /** Out of the cache, or by asking. Of many who want the same for the cache, one asks. */
  async #makeHop(
    hop: number,
    known: KnownHop,
    look: () => Promise<KnownHop>,
  ): Promise<{ readonly cached: CachedHop | undefined; readonly outcome: HopOutcome<T> }> {
    const { cached } = known;
    if (cached?.fresh !== undefined) return { cached, outcome: await this.#serveFresh(known) };
    if (cached?.key === undefined) return { cached, outcome: await this.#askHop(hop, known) };
    this.#enter("queue");
    const lead = await this.#parts.collapsed.join(cached.key);
    if (lead === undefined) {
      const again = await look();
      const isHere = again.cached?.fresh !== undefined;
      const outcome = await (isHere ? this.#serveFresh(again) : this.#askHop(hop, again));
      return { cached: again.cached, outcome };
    }
    let hasLeft = false;
    try {
      return { cached, outcome: await this.#askHop(hop, known) };
    } catch (error) {
      hasLeft = !(error instanceof PageError); // a cancellation, or the caller's own failure
      throw error;
    } finally {
      lead.end(hasLeft);
    }
  }

  async #serveFresh(known: KnownHop): Promise<HopOutcome<T>> {
    const page = known.cached?.fresh;
    if (page === undefined) throw new Error("it was fresh a moment ago");
    const value = await this.#servePage(known, page, "hit");
    this.#tellHop(hopOf(known, page.status));
    return { value, status: page.status };
  }

  async #askHop(hop: number, known: KnownHop): Promise<HopOutcome<T>> {
    const { request, identity } = known;
    const { receipt: robots, crawlDelay } = await this.#askRobots(request.url, identity);
    const asked = { ...known, robots };
    const outcome = await this.#solveHop(hop, asked, crawlDelay);
    this.#tellHop(hopOf(asked, outcome.status));
    const { cache } = this.#parts;
    if (mayHaveChanged(request.method, outcome.status)) cache.forget(request.url.href);
    return outcome;
  }

  async #askRobots(url: URL, identity: Identity): Promise<RobotsAnswer> {
    const nothing = { crawlDelay: undefined, sent: 0, received: 0 };
    const { robots } = this.#parts;
    if (robots === undefined || !this.#settings.asksRobots)
      return { ...nothing, receipt: { verdict: "not asked" } };
    if (this.#options.robots === "ignore") return { ...nothing, receipt: { verdict: "ignored" } };
    this.#enter("robots");
    const answer = await robots.check(url, identity.robotsToken).catch(notAsked(url.host));
    const { sent, received } = this.#aside;
    this.#aside = { sent: sent + answer.sent, received: received + answer.received };
    const { verdict, line, text, because } = answer.receipt;
    if (verdict !== "disallowed") return answer;
    const why = line === undefined ? (because ?? "") : `line ${line}: ${text ?? ""}`;
    throw new PageError("robots_disallowed", `robots.txt of ${url.host} forbids it (${why})`, {
      phase: "robots",
      evidence: [why],
    });
  }

  /** As `#tryHop`, and once more if the operator's solver has got past a CAPTCHA. */
  async #solveHop(
    hop: number,
    known: KnownHop,
    crawlDelay: number | undefined,
  ): Promise<HopOutcome<T>> {
    try {
      return await this.#tryHop(hop, known, crawlDelay);
    } catch (error) {
      if (!(error instanceof PageError) || error.code !== "captcha") throw error;
      if (!(await this.#isSolved(known))) throw error;
      return await this.#tryHop(hop, known, crawlDelay);
    }
  }

  async #isSolved({ request: { url }, session }: KnownHop): Promise<boolean> {
    const { solver } = this.#parts;
    const verdict = this.#challenge;
    const mayTry = solver?.hosts.has(url.hostname) === true && !this.#hasAsked;
    if (!mayTry || verdict === undefined) return false;
    this.#hasAsked = true;
    this.#enter("solve");
    const route = this.#attempts.at(-1)?.via ?? "direct";
    const solution = await solver.solve({ url, verdict, session, route });
    if (solution === undefined) return false;
    session.setCookies(url, solution.setCookies);
    return true;
  }

  async #tryHop(
    hop: number,
    known: KnownHop,
    crawlDelay: number | undefined,
  ): Promise<HopOutcome<T>> {
    const { session, identity, cached } = known;
    const request = cached?.request ?? known.request;
    const { retries, retryUnsafe } = this.#options;
    const { budgets, random } = this.#parts;
    const { hostname } = request.url;
    const repeats = retryUnsafe || isRepeatable(request.method);
    const policy = new RetryPolicy({ retries, repeats, budget: budgets, host: hostname, random });
    const context = {
      parts: this.#parts,
      options: this.#options,
      session,
      identity,
      hop,
      request,
      crawlDelay,
      policy,
      avoid: [] as string[],
      doubtful: [] as string[],
      enter: (phase: Phase) => this.#enter(phase),
      phase: () => this.#phase,
      ended: (one: Attempt) => this.#tellAttempt(one),
    };
    try {
      return await retry(
        ({ error }: Step) => (error instanceof Again ? error.seconds : undefined),
        () => attempt(context, (answered) => this.#readPage(known, answered)),
        { onRetry: () => this.#enter("retry_wait") },
      );
    } catch (error) {
      const failure: unknown = error instanceof Again ? error.cause : error;
      const stale = cached?.goodIfError;
      if (stale === undefined || !(failure instanceof PageError) || failure.fault !== "network")
        throw failure;
      if (failure.details.phase === "consume") throw failure;
      return { value: await this.#servePage(known, stale, "stale"), status: stale.status };
    }
  }

  /** Decodes, judges and hands over what has come. */
  async #readPage(known: KnownHop, { head, line, politeWait }: Answered): Promise<T> {
    const { maxBytes } = this.#options;
    this.#waitOfAttempt = politeWait;
    const { request, cached } = known;
    this.#enter("body");
    const kept = cached?.revalidated(head);
    if (kept !== undefined) {
      await line.read(); // it has no body; the connection is free behind it
      return await this.#servePage(known, kept, "revalidated");
    }
    const hasBody = request.method !== "HEAD" && head.status !== 204 && head.status !== 304;
    const encodings = hasBody ? encodingsOf(head.headers) : [];
    const length = Number(headerOf(head.headers, "content-length") ?? 0);
    if (hasBody && encodings.length === 0 && length > maxBytes) throw tooLarge(maxBytes);
    const whole = decoded(line, encodings, maxBytes);
    const copy = this.#parts.held.open("cache");
    const body = new PeekedBody(cached?.keeping(head, whole, copy) ?? whole);
    try {
      const verdict = await this.#judge(request.url, head, body);
      const outcome = cached === undefined ? "off" : "miss";
      return await this.#handOver(known, head, body, outcome, verdict);
    } finally {
      body.close();
    }
  }

  async #servePage(known: KnownHop, page: KeptPage, cache: CacheOutcome): Promise<T> {
    const { maxBytes } = this.#options;
    if (page.bytes.length > maxBytes) throw tooLarge(maxBytes);
    return await this.#handOver(known, headOf(page), bodyOf(page), cache, undefined);
  }

  async #handOver(
    known: KnownHop,
    { status, statusText, headers }: IncomingHead,
    body: Body,
    cache: CacheOutcome,
    verdict: Verdict | undefined,
  ): Promise<T> {
    const { request, robots, identity, session } = known;
    const ended = [...this.#attempts];
    const head: PageHead = {
      url: this.#options.url.href,
      finalUrl: request.url.href,
      status,
      statusText,
      headers,
      hops: [...this.#hops, hopOf(known, status)],
      ended,
      politeWait: ended.reduce((sum, one) => sum + one.politeWait, this.#waitOfAttempt),
      robots,
      identity: identity.label,
      session: session.name,
      cache,
      ...(verdict === undefined ? {} : { verdict }),
    };
    this.#enter(this.#settings.reading);
    return await this.#consume(livePage(head, body));
  }

  async #judge(
    url: URL,
    { status, headers }: Answered["head"],
    body: PeekedBody,
  ): Promise<Verdict | undefined> {
    if (!this.#settings.judges) return undefined;
    const { classifier } = this.#parts;
    const answer = { url, requested: this.#options.url, status, headers };
    const verdict = classifier.judge(answer, await body.peek(classifier.wants(answer)));
    if (verdict.kind === "page") return undefined;
    const code = refusals[verdict.kind as keyof typeof refusals] as
      | (typeof refusals)[keyof typeof refusals]
      | undefined;
    if (code === undefined) return verdict;
    this.#challenge = verdict;
    const { vendor, evidence, kind } = verdict;
    const whose = vendor === undefined ? "" : ` of ${vendor}`;
    throw new PageError(code, `what has come is no page but a ${kind}${whose}`, {
      phase: "body",
      answer: { status, headers },
      vendor,
      evidence,
    });
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onProgress?.({ kind: "phase", phase, url: this.#url });
  }

  #tellAttempt(attempt: Attempt): void {
    this.#attempts.push(attempt);
    this.#waitOfAttempt = 0;
    this.#options.onProgress?.({ kind: "attempt", attempt });
  }

  #tellHop(hop: Hop): void {
    this.#hops.push(hop);
    this.#options.onProgress?.({ kind: "hop", hop });
  }
}

function hopOf({ request: { url, method }, robots }: KnownHop, status: number): Hop {
  return { url: url.href, method, status, robots };
}

/** What was tried for robots.txt was not tried for the page, and another caller may have tried it. */
function notAsked(host: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof PageError)) throw error;
    const { attempts: _, hops: __, url: ___, ...details } = error.details;
    const message = `robots.txt of ${host} cannot be asked for: ${error.message}`;
    throw new PageError(error.code, message, { ...details, phase: "robots" }, { cause: error });
  };
}
