/**
 * One connection and the line of requests to it: first in, first out, one on the wire.
 *
 * Every request is a masked join. A cancellation that comes while it stands in line takes it out. One
 * that comes while the server works is passed on, and the caller waits until the server is ready for
 * the next request *and* the cancel request is over. Only then does the next one go out, so no
 * cancel ever hits a query that it was not meant for.
 *
 *     queued ──▶ running ──────────── ready ─────────────▶ the answer, a failure
 *       │           └─ cancelled ─▶ ready and cancel over ▶ CancelledError, or the answer all the same
 *       └ cancelled: left the line     └── grace ─▶ the connection is cut off
 */

import { CancelScope, currentTask, getRunningLoop, InvalidStateError } from "asyncio-ts";
import { interruption, park, refuse, type Wait } from "asyncio-ts/lowlevel";
import type { Answer, Dialect, DriverConnection, Request } from "./driver.ts";
import { ConnectionLostError } from "./errors.ts";
import { type QueryReport, Reporter } from "./reports.ts";

/** What a request is about, for reports, and what becomes of it when its caller is cancelled. */
export interface RequestOptions {
  /** What reports call it. */
  readonly title: string;
  /** On whose account it runs: a transaction, a savepoint. */
  readonly owner?: object | undefined;
  /**
   * What a cancellation does: "server" asks the server to stop; "cut" cuts the connection off, for
   * what must not be stopped half-way and has its deadline around it.
   */
  readonly onCancel?: "server" | "cut" | undefined;
}

/** What a session is given. */
export interface SessionOptions {
  /** Seconds that the server has to answer a cancel. */
  readonly grace: number;
  readonly dialect: Dialect;
  /** Told of each request that has ended. */
  readonly onQuery?: ((report: QueryReport) => void) | undefined;
  /** The name of the database, for reports. */
  readonly database: string;
}

/** A connection, with a line. */
export class Session {
  readonly connection: DriverConnection;
  readonly options: SessionOptions;
  /** Statements of the program may have changed its settings. */
  isTouched = false;
  /** How many bodies of the program have it, one in the other. */
  bodies = 0;
  /** Told when the connection is lost. */
  readonly losses: Set<(reason: Error) => void> = new Set();
  readonly #line: Exchange[] = [];
  #running: Exchange | undefined = undefined;
  /** Called when nothing runs any more and the line is empty. */
  #whenIdle: (() => void)[] = [];

  constructor(connection: DriverConnection, options: SessionOptions) {
    this.connection = connection;
    this.options = options;
    connection.onLost = (reason) => {
      for (const told of [...this.losses]) told(reason);
    };
  }

  /** Why it cannot be used any more. */
  get lost(): Error | undefined {
    return this.connection.lost;
  }

  /** Whether a request is on its way, or stands in line. */
  get isBusy(): boolean {
    return this.#running !== undefined || this.#line.length > 0;
  }

  /** Whether it is kept for a body of the program: other requests give it back by themselves. */
  get isHeld(): boolean {
    return this.bodies > 0 || this.connection.status !== "idle";
  }

  /** Puts a request into the line; gives the answers to it. An operation. */
  send(request: Request, options: RequestOptions): Promise<readonly Answer[]> {
    const stop = interruption(options.title);
    if (stop !== undefined) return stop;
    if (this.lost !== undefined) return refuse(options.title, lossFor(this.lost));
    const exchange = new Exchange(this, request, options);
    this.#line.push(exchange);
    this.#pump();
    return exchange.wait.promise;
  }

  /** Ends what runs and stands in line on account of `owner`; `error` is what callers get. */
  abandon(owner: object, error: Error): void {
    for (const exchange of this.#line.filter((one) => one.options.owner === owner)) {
      this.#leave(exchange);
      exchange.refuse(error);
    }
    if (this.#running?.options.owner === owner) this.#running.abandon(error);
  }

  /** Ends what runs and stands in line; `error` is what callers get. */
  abandonAll(error: Error): void {
    for (const exchange of [...this.#line]) {
      this.#leave(exchange);
      exchange.refuse(error);
    }
    this.#running?.abandon(error);
  }

  /** Calls back when nothing runs and nobody stands in line: now, if that is so. */
  whenIdle(callback: () => void): void {
    if (this.isBusy) this.#whenIdle.push(callback);
    else callback();
  }

  /** Cuts the connection off. */
  destroy(reason: Error): void {
    this.connection.destroy(reason);
  }

  /** @internal Takes an exchange out of the line; false if it runs already. */
  leave(exchange: Exchange): boolean {
    return this.#leave(exchange);
  }

  /** @internal The connection is ready for the next one. */
  next(): void {
    this.#running = undefined;
    this.#pump();
  }

  #leave(exchange: Exchange): boolean {
    const index = this.#line.indexOf(exchange);
    if (index < 0) return false;
    this.#line.splice(index, 1);
    this.#tellIfIdle();
    return true;
  }

  #pump(): void {
    if (this.#running !== undefined) return;
    const exchange = this.#line.shift();
    if (exchange === undefined) {
      this.#tellIfIdle();
      return;
    }
    this.#running = exchange;
    exchange.start();
  }

  #tellIfIdle(): void {
    if (this.isBusy) return;
    const told = this.#whenIdle;
    this.#whenIdle = [];
    for (const callback of told) callback();
  }
}

/**
 * Runs `body` in a scope that ends with the connection; rejects with what `lossOf` makes of the loss
 * then, also if the body has caught its cancellation.
 */
export async function whileConnected<T>(
  session: Session,
  body: () => Promise<T>,
  lossOf: (reason: Error | undefined) => Error,
): Promise<T> {
  if (session.lost !== undefined) throw lossOf(session.lost);
  const scope = new CancelScope();
  const lose = (reason: Error): void => scope.cancel(reason.message);
  session.losses.add(lose);
  session.bodies++;
  try {
    const done = await scope.run(async () => ({ value: await body() }));
    if (session.lost !== undefined || done === undefined) throw lossOf(session.lost);
    return done.value;
  } finally {
    session.bodies--;
    session.losses.delete(lose);
  }
}

/** Seconds after which the server is asked again to end a query; doubled each time. */
const FIRST_REPEAT = 0.1;

/** One request of a session. */
class Exchange {
  readonly wait: Wait<readonly Answer[]>;
  readonly options: RequestOptions;
  readonly #session: Session;
  readonly #request: Request;
  readonly #reporter: Reporter | undefined;
  readonly #loop = getRunningLoop();
  #startedAt = 0;
  #state: "queued" | "running" | "ended" = "queued";
  /** Its caller was cancelled. */
  #isCancelled = false;
  /** What its callers get instead of the answer: the block that it belongs to has ended. */
  #abandoned: Error | undefined = undefined;
  /** A cancel request of it is not over yet. */
  #isCancelling = false;
  /** What the server has answered, while its cancel request is not over. */
  #outcome: { readonly error: unknown; readonly answers: readonly Answer[] } | undefined =
    undefined;
  /** Why the server could not be asked to end it, or may not have heard. */
  #whyNotAsked: unknown = undefined;
  /** Cuts the connection off when `grace` is over. */
  #patience: { cancel(): void } | undefined = undefined;
  /** Asks once more. */
  #again: { cancel(): void } | undefined = undefined;
  #repeatAfter = FIRST_REPEAT;
  #asked = 0;

  constructor(session: Session, request: Request, options: RequestOptions) {
    this.#session = session;
    this.#request = request;
    this.options = options;
    this.#reporter = Reporter.open(session.options.onQuery, currentTask(), {
      database: session.options.database,
      name: options.title,
      connection: session.connection.label,
    });
    this.wait = park<readonly Answer[]>(this, () => this.#cancel());
  }

  describeWait(): string {
    const where = this.#session.connection.label;
    const query = JSON.stringify(this.options.title);
    if (this.#state === "queued") return `its turn on ${where}, for query ${query}`;
    if (this.#isCancelling) return `${where} to cancel query ${query}`;
    return `query ${query} on ${where}`;
  }

  start(): void {
    this.#state = "running";
    this.#startedAt = this.#loop.time();
    this.#session.connection.run(this.#request, (error, answers) => {
      this.#outcome ??= { error, answers };
      this.#settle();
    });
  }

  /** It has left the line. */
  refuse(error: Error): void {
    this.#state = "ended";
    this.#reporter?.drop("failed", error);
    this.wait.fail(error);
  }

  abandon(error: Error): void {
    this.#abandoned ??= error;
    this.#stop();
  }

  #cancel(): boolean {
    this.#isCancelled = true;
    if (this.#session.leave(this)) {
      this.#state = "ended";
      this.#reporter?.drop("cancelled", undefined);
      return true;
    }
    this.#stop();
    return false;
  }

  /** Asks the server to end it, once. */
  #stop(): void {
    if (this.#state !== "running" || this.#isCancelling || this.#outcome !== undefined) return;
    const { connection, options } = this.#session;
    if (this.options.onCancel === "cut") {
      connection.destroy(
        new ConnectionLostError(`${this.options.title} was not answered in time, and was cut off`),
      );
      return;
    }
    if (options.grace !== Number.POSITIVE_INFINITY)
      this.#patience ??= this.#loop.callLater(options.grace, () => this.#cutOff());
    this.#ask();
  }

  /** A request that came before the server had begun with the query was for nothing: once more. */
  #ask(): void {
    this.#again?.cancel();
    this.#isCancelling = true;
    this.#asked++;
    const over = (failure?: unknown): void => {
      this.#isCancelling = false;
      this.#whyNotAsked ??= failure;
      this.#settle();
      if (this.#state === "ended") return;
      this.#again = this.#loop.callLater(this.#repeatAfter, () => this.#ask());
      this.#repeatAfter *= 2;
    };
    this.#session.connection.cancel().then(() => over(), over);
  }

  /** The server has not answered, or the cancel request hangs: nothing may come of it later. */
  #cutOff(): void {
    if (this.#state === "ended") return;
    this.#isCancelling = false;
    const { connection, options } = this.#session;
    const { title } = this.options;
    const cause = this.#whyNotAsked;
    connection.destroy(
      new ConnectionLostError(
        `${connection.label} was cut off: it has not ended query ${JSON.stringify(title)} within ${options.grace} s after it was cancelled`,
        cause === undefined ? {} : { cause },
      ),
    );
    this.#settle(); // if the server had answered, and the cancel request was what hung
  }

  #settle(): void {
    if (this.#state === "ended" || this.#outcome === undefined) return;
    const { connection, options } = this.#session;
    // What was asked for is still under way, unless the connection is gone, and it with it.
    if (this.#isCancelling && connection.lost === undefined) return;
    this.#state = "ended";
    this.#patience?.cancel();
    this.#again?.cancel();
    const { error, answers } = this.#outcome;
    const isStopped = options.dialect.isCancelled(error) || connection.lost !== undefined;
    // A cancel request that broke off may still come, unless it was what has ended this query.
    const cause = this.#whyNotAsked;
    if (cause !== undefined && !(isStopped && this.#asked === 1)) {
      const message = `${connection.label} was cut off: a cancel request of it broke off`;
      connection.destroy(new ConnectionLostError(message, { cause }));
    }
    const isAsked = this.#isCancelled || this.#abandoned !== undefined;
    const outcome = error === undefined ? "ok" : isAsked && isStopped ? "cancelled" : "failed";
    this.#reporter?.close({
      seconds: this.#loop.time() - this.#startedAt,
      rows: answers.reduce((sum, { count }) => sum + count, 0),
      outcome,
      error,
    });
    if (error === undefined) this.wait.resume(answers);
    else if (this.#isCancelled && isStopped) this.wait.joined([], error);
    else if (error === connection.lost) this.wait.fail(this.#abandoned ?? lossFor(connection.lost));
    else this.wait.fail(this.#abandoned ?? named(error, this.options.title));
    this.#session.next();
  }
}

/** Each caller gets an error of its own, with the one reason as its cause. */
function lossFor(reason: Error): Error {
  if (reason instanceof InvalidStateError) return reason;
  const { sqlstate } = reason as ConnectionLostError;
  return new ConnectionLostError(reason.message, { cause: reason, sqlstate });
}

/** The error of the server, which knows now which query it is about. */
function named(error: unknown, title: string): unknown {
  if (error instanceof Error && "query" in error && error.query === undefined)
    Object.defineProperty(error, "query", { value: title, enumerable: true, configurable: true });
  return error;
}
