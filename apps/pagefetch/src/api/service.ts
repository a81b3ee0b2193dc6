/**
 * One request from admission to ledger. What `run` opens belongs to the caller's scope; a client
 * that leaves cancels it, and the ledger gets its row all the same.
 */

import { randomUUID } from "node:crypto";
import * as asyncio from "asyncio-ts";
import { PageError } from "../contract/errors.ts";
import type { HeldBytes } from "../contract/held.ts";
import { checkExtracts, type FetchOptions, type Output } from "../contract/options.ts";
import type { Attempt, FetchResult, ProgressEvent } from "../contract/result.ts";
import { checkMaxAge, defaultTimeout } from "../fetch/check.ts";
import type { Fetcher } from "../fetch/fetcher.ts";
import type { LivePage } from "../fetch/page.ts";
import { within } from "../fetch/within.ts";
import type { Outputs } from "../outputs/outputs.ts";
import { type ExtractRules, readExtractRules } from "../outputs/rules.ts";
import type { ProxyInfo } from "../proxies/proxies.ts";
import type { Key } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import { Admission, clock, requireScope } from "./admission.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { FetchRequest } from "./schema.ts";

export interface ServiceParts {
  readonly fetcher: Fetcher;
  readonly store: Store;
  readonly outputs: Outputs;
  /** What is known of the proxies, for the cost of an attempt. @default none */
  readonly proxies?: { list(): readonly ProxyInfo[] } | undefined;
  /** Keys that are not in the store, by their secret. */
  readonly keys?: ReadonlyMap<string, Key> | undefined;
  /** Requests that run at a time in all; above it `overloaded`. @default 500 */
  readonly maxRunning?: number | undefined;
  /** How many processes have the same store, this one included. @default 1 */
  readonly processes?: number | undefined;
}

/** A page in the form that was asked for. */
export interface Shaped {
  readonly page: FetchResult;
  readonly content: unknown;
  readonly cost: number;
}

/** A call of the service, as it runs. */
export interface Call {
  readonly id: string;
  readonly key: Key;
  readonly request: FetchRequest;
}

/** Seconds that a request has to write its row. After that the row is still in line. */
const LAST_ROW = 2;
const unsafe = new Set(["POST", "PUT", "PATCH", "DELETE"]);

export class Service {
  readonly metrics: Metrics;
  readonly admission: Admission;
  readonly #parts: ServiceParts;
  /** What an attempt costs, by the id of its proxy. Proxies do not change while it runs. */
  readonly #costs: ReadonlyMap<string, number>;
  readonly #maxRunning: number;
  #running = 0;
  /** Calls of the HTTP API that have not ended. Some only look for their key so far. */
  #serving = 0;
  /** Set while both are 0. */
  readonly #idle = new asyncio.Event();
  #isClosing = false;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.#maxRunning = parts.maxRunning ?? 500;
    this.#costs = new Map(parts.proxies?.list().map(({ id, cost }) => [id, cost]));
    this.#idle.set();
    this.admission = new Admission(parts);
    this.metrics = createMetrics({
      idle_connections: () => parts.fetcher.idle,
      held_bytes: () => parts.fetcher.held.total,
      ledger_waiting: () => parts.store.ledger.statistics().waiting,
      ledger_dropped: () => parts.store.ledger.statistics().dropped,
    });
  }

  get store(): Store {
    return this.#parts.store;
  }

  /** Requests that run at the moment. */
  get running(): number {
    return this.#running;
  }

  /** Why no request should be sent here; undefined if one may. */
  async unready(): Promise<string | undefined> {
    if (this.#isClosing) return "shutting down";
    const { ledger, keys } = this.#parts.store;
    if (!(await keys.isWell())) return "the store cannot be asked for keys";
    return ledger.statistics().isWell ? undefined : "the store cannot be written";
  }

  /** From now on requests are refused with `shutting_down`. Those that run go on. */
  beginShutdown(): void {
    this.#isClosing = true;
  }

  /** Counts a call of the HTTP API until it has ended: it may use the store as long. */
  async serving<T>(call: () => Promise<T>): Promise<T> {
    this.#serving++;
    this.#idle.clear();
    try {
      return await call();
    } finally {
      this.#serving--;
      this.#rest();
    }
  }

  #rest(): void {
    if (this.#running === 0 && this.#serving === 0) this.#idle.set();
  }

  /** Waits until no request runs or is served, and the rows of all are in line for the ledger. */
  async waitIdle(): Promise<void> {
    await this.#idle.wait();
  }

  /** The budget for bytes of bodies. */
  get held(): HeldBytes {
    return this.#parts.fetcher.held;
  }

  /**
   * The page, whole, in the form that was asked for, handed to `answer`, whose value it gives. When
   * that has ended, the page is not counted any more. Where `answer` throws, the request has failed.
   */
  async fetch<T>(
    key: Key,
    request: FetchRequest,
    answer: (shaped: Shaped & { readonly id: string }) => T,
  ): Promise<T> {
    const rules = rulesOf(request);
    const hold = this.held.open(key.id);
    try {
      return await this.#run(key, request, async (options, id) => {
        const page = await this.#parts.fetcher.fetch(request.url, options, hold);
        const content = await this.#shape(page, request, rules, key.id);
        const cost = this.#costOf(page.attempts);
        return { result: answer({ id, page, content, cost }), status: page.status };
      });
    } finally {
      hold.end();
    }
  }

  /** The page as it comes, handed to `consume`. Nothing of it is kept. */
  async stream<T>(
    key: Key,
    request: FetchRequest,
    consume: (page: LivePage, id: string) => Promise<T>,
  ): Promise<T> {
    return await this.#run(key, request, async (options, id) => {
      let status: number | undefined;
      const result = await this.#parts.fetcher.open(request.url, options, async (page) => {
        status = page.head.status;
        return await consume(page, id);
      });
      return { result, status };
    });
  }

  async #run<T>(
    key: Key,
    request: FetchRequest,
    body: (options: FetchOptions, id: string) => Promise<{ result: T; status: number | undefined }>,
  ): Promise<T> {
    if (this.#isClosing) {
      throw new PageError("shutting_down", "the service is shutting down", { retryAfter: 5 });
    }
    // As they end, and so also those of a request whose caller has left.
    const attempts: Attempt[] = [];
    const onProgress = (event: ProgressEvent): void => {
      if (event.kind === "attempt") attempts.push(event.attempt);
    };
    const options = { ...optionsOf(key, request), onProgress };
    if (this.#running >= this.#maxRunning) {
      throw new PageError("overloaded", "the service has as much to do as it can", {
        retryAfter: 1,
        limit: { name: "maxRunning", value: this.#maxRunning },
      });
    }
    const place = await this.admission.enter(key);
    const id = randomUUID();
    const began = clock();
    this.#running++;
    this.#idle.clear();
    this.metrics.running.inc();
    let outcome = "cancelled";
    let status: number | undefined;
    try {
      const ended = await body(options, id);
      outcome = "ok";
      status = ended.status;
      return ended.result;
    } catch (error) {
      if (error instanceof PageError) {
        outcome = error.code;
        status = error.details.answer?.status;
      } else if (!(error instanceof asyncio.CancelledError)) outcome = "failed";
      throw error;
    } finally {
      place[Symbol.dispose]();
      this.#running--;
      this.metrics.running.dec();
      const seconds = clock() - began;
      const received = sum(attempts, "received");
      const cost = this.#costOf(attempts);
      this.metrics.ended(outcome, seconds, attempts.length, received);
      this.admission.spend(key, cost);
      const row = {
        keyId: key.id,
        host: hostOf(request.url),
        status: status ?? null,
        code: outcome === "ok" ? null : outcome,
        attempts: attempts.length,
        sent: sum(attempts, "sent"),
        received,
        cost,
        seconds,
      };
      await asyncio.cleanup(LAST_ROW, () => {
        // A store that is known to be away is not waited for.
        const patience = this.store.ledger.statistics().isWell ? LAST_ROW : 0;
        const recorded = this.store.ledger.record(row, patience);
        this.#rest(); // the row is in line
        return recorded;
      });
    }
  }

  #costOf(attempts: readonly Attempt[]): number {
    return attempts.reduce((cost, { via }) => cost + (this.#costs.get(via) ?? 1), 0);
  }

  async #shape(
    page: FetchResult,
    request: FetchRequest,
    rules: ExtractRules | undefined,
    owner: string,
  ): Promise<unknown> {
    const output = outputOf(request);
    if (output === "raw") return page.bytes;
    if (output === "html") return page.text();
    // A page may have to wait for its parser: that is a part of the time of the request.
    const { timeout = defaultTimeout } = request;
    const { seconds, attempts, hops } = page;
    try {
      return await within(
        timeout,
        "timeout",
        () => "consume",
        () => this.#parsed(page, output, rules, owner),
        { spent: seconds },
      );
    } catch (error) {
      throw error instanceof PageError ? error.with({ attempts, hops, url: page.finalUrl }) : error;
    }
  }

  #parsed(
    page: FetchResult,
    output: Exclude<Output, "raw" | "html">,
    rules: ExtractRules | undefined,
    owner: string,
  ): Promise<unknown> {
    const { outputs } = this.#parts;
    switch (output) {
      case "text":
        return outputs.text(page.text(), owner);
      case "markdown":
        return outputs.markdown(page.text(), owner);
      case "links":
        return outputs.links(page.text(), page.finalUrl, owner);
      case "extract":
        return outputs.extract(page.text(), rules ?? {}, page.finalUrl, owner);
    }
  }
}

export function outputOf(request: FetchRequest): Output {
  return request.output ?? (request.extract === undefined ? "html" : "extract");
}

function rulesOf(request: FetchRequest): ExtractRules | undefined {
  const { extract } = request;
  if (extract !== undefined) {
    checkExtracts(request.output);
    return readExtractRules(extract);
  }
  if (request.output !== "extract") return undefined;
  throw new PageError("bad_request", "output=extract needs rules in `extract`", {
    parameter: "extract",
  });
}

/** What the pipeline is asked for. A session's name is the key's own. */
function optionsOf(key: Key, request: FetchRequest): FetchOptions {
  requireScope(key, "fetch", "fetching");
  if (request.robots === "ignore") requireScope(key, "ignore_robots", "robots=ignore");
  const method = request.method ?? "GET";
  if (unsafe.has(method)) requireScope(key, "unsafe", `the method ${method}`);
  if (request.render === "always") {
    throw new PageError(
      "unsupported_parameter",
      "render=always needs a browser, and this service has none: render=never gets the page as the server sends it",
      { parameter: "render" },
    );
  }
  checkMaxAge("max_age", request.max_age, request.cache);
  return {
    method,
    headers: request.headers,
    body: request.body,
    timeout: request.timeout,
    attemptTimeout: request.attempt_timeout,
    connectTimeout: request.connect_timeout,
    headersTimeout: request.headers_timeout,
    retries: request.retries,
    retryUnsafe: request.retry_unsafe,
    maxBytes: request.max_bytes,
    maxRedirects: request.max_redirects,
    allowDowngrade: request.allow_downgrade,
    robots: request.robots,
    identity: request.identity,
    proxy: request.proxy,
    country: request.country,
    session: request.session === undefined ? undefined : `${key.id}.${request.session}`,
    cache: request.cache,
    maxAge: request.max_age,
  };
}

function sum(attempts: readonly Attempt[], what: "sent" | "received"): number {
  return attempts.reduce((bytes, attempt) => bytes + attempt[what], 0);
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname.slice(0, 253) ?? "";
}
