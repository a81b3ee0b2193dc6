/**
 * One connection and the line of requests to it: first in, first out, one on the wire.
 *
 * Every request is a masked join. A cancellation that comes while it stands in line takes it out. One
 * that comes while the server works is passed on, and the caller waits until the server has ended the
 * request. The next one goes out when the cancel request is over *as well*, so no cancel ever hits a
 * query that it was not meant for.
 *
 *     queued ──▶ running ────────── ended: the answer, a failure ─────────────────▶ released
 *       │           └─ cancelled ─▶ ended: CancelledError, or the answer ─ cancel over ─▶ released
 *       └ cancelled: left the line     └── grace ─▶ the connection is cut off
 *
 * A request to the database itself, and not to a session of it, waits for a connection first, in the
 * line of the pool (turn.ts). It is one wait from there to the answer.
 */

import { CancelScope, getRunningLoop, InvalidStateError, type Task } from "asyncio-ts";
import {
  currentScope,
  interruption,
  park,
  refuse,
  type Scope,
  type Wait,
} from "asyncio-ts/lowlevel";
import type { Answer, Dialect, DriverConnection, Request } from "./driver.ts";
import { ConnectionLostError } from "./errors.ts";
import { type QueryReport, Reporter } from "./reports.ts";
import type { Turn } from "./turn.ts";

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
  /** The scopes of the bodies of the program that have it, one in the other. */
  readonly bodies: Set<Scope> = new Set();
  /** Told when the connection is lost. */
  readonly losses: Set<(reason: Error) => void> = new Set();
  readonly #line: Exchange[] = [];
  #opening: { readonly owner: object; readonly statements: () => readonly string[] } | undefined =
    undefined;
  #running: Exchange | undefined = undefined;
  /** Called when nothing runs any more and the line is empty. */
  #whenIdle: (() => void)[] = [];

  constructor(connection: DriverConnection, options: SessionOptions) {
    this.connection = connection;
    this.options = options;
    connection.onLost = (reason) => {
      for (const told of [...this.losses]) told(reason);
      this.#running?.release(); // its cancel request can hit nothing any more
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

  /** Whether all that is left of its last request is a cancel request that is not over. */
  get isSettling(): boolean {
    return this.#running?.isEnded === true && this.#line.length === 0;
  }

  /** Whether it is kept for a body of the program: other requests give it back by themselves. */
  get isHeld(): boolean {
    return this.bodies.size > 0 || this.connection.status !== "idle";
  }

  /** Puts a request into the line; gives the answers to it. An operation. */
  send(request: Request, options: RequestOptions): Promise<readonly Answer[]> {
    const stop = interruption(options.title);
    if (stop !== undefined) return stop;
    if (this.lost !== undefined) return refuse(options.title, lossFor(this.lost));
    const exchange = new Exchange(this.options, request, options);
    exchange.join(this);
    return exchange.wait.promise;
  }

  /** @internal Takes an exchange into the line, at its end. */
  enter(exchange: Exchange): void {
    if (this.#running === undefined)
      this.#start(exchange); // then nobody is in line
    else this.#line.push(exchange);
  }

  /**
   * What goes before the first request on account of `owner`, in one message with it: `statements` is
   * asked when that is sent. For a connection that joins.
   */
  openWith(owner: object, statements: () => readonly string[]): void {
    this.#opening = { owner, statements };
  }

  /** Takes that back. True iff it was not sent. */
  takeBack(owner: object): boolean {
    const isThere = this.#opening?.owner === owner;
    if (isThere) this.#opening = undefined;
    return isThere;
  }

  /** Ends what runs and stands in line on account of `owner`; `errorFor` makes what callers get. */
  abandon(owner: object, errorFor: () => Error): void {
    if (!this.isBusy) return;
    for (const exchange of this.#line.filter((one) => one.options.owner === owner)) {
      this.#leave(exchange);
      exchange.refuse(errorFor());
    }
    if (this.#running?.options.owner === owner) this.#running.abandon(errorFor());
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

  /** Closes the connection, when no cancel of its last request is under way any more. */
  async close(): Promise<void> {
    if (this.isSettling) {
      const wait = park<void>("the end of a cancel request");
      this.whenIdle(() => wait.resume());
      await wait.promise;
    }
    await this.connection.close();
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
    if (exchange === undefined) this.#tellIfIdle();
    else this.#start(exchange);
  }

  #start(exchange: Exchange): void {
    this.#running = exchange;
    const opening = this.#opening;
    if (opening !== undefined && opening.owner === exchange.options.owner) {
      this.#opening = undefined;
      exchange.start(opening.statements());
    } else exchange.start();
  }

  #tellIfIdle(): void {
    if (this.#whenIdle.length === 0 || this.isBusy) return;
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
  let inside: Scope | undefined;
  try {
    const done = await scope.run(async () => {
      inside = currentScope() as Scope; // a body has one
      session.bodies.add(inside);
      return { value: await body() };
    });
    if (session.lost !== undefined || done === undefined) throw lossOf(session.lost);
    return done.value;
  } finally {
    if (inside !== undefined) session.bodies.delete(inside);
    session.losses.delete(lose);
  }
}

/** Seconds after which the server is asked again to end a query; doubled each time. */
const FIRST_REPEAT = 0.1;

/** One request, from the moment in which it is asked for. */
export class Exchange {
  readonly wait: Wait<readonly Answer[]>;
  readonly options: RequestOptions;
  readonly #settings: SessionOptions;
  readonly #request: Request;
  readonly #reporter: Reporter | undefined;
  readonly #loop = getRunningLoop();
  /** Its place in the line of the pool, while it waits for a connection. */
  #turn: Turn | undefined = undefined;
  #session: Session | undefined = undefined;
  /** Called in the step in which the connection is ready for the next request. */
  #whenReady: (() => void) | undefined = undefined;
  #startedAt = 0;
  #state: "waiting" | "queued" | "running" | "ended" | "released" = "waiting";
  /** Its caller was cancelled. */
  #isCancelled = false;
  /** What its callers get instead of the answer: the block that it belongs to has ended. */
  #abandoned: Error | undefined = undefined;
  /** A cancel request of it is not over yet. */
  #isCancelling = false;
  /** The server has ended it because it was asked to, or with the connection. */
  #isStopped = false;
  /** Why the server could not be asked to end it, or may not have heard. */
  #whyNotAsked: unknown = undefined;
  /** Cuts the connection off when `grace` is over. */
  #patience: { cancel(): void } | undefined = undefined;
  /** Asks once more. */
  #again: { cancel(): void } | undefined = undefined;
  #repeatAfter = FIRST_REPEAT;
  #asked = 0;

  constructor(settings: SessionOptions, request: Request, options: RequestOptions) {
    this.#settings = settings;
    this.#request = request;
    this.options = options;
    this.#reporter = Reporter.open(settings.onQuery, settings.database, options.title);
    this.wait = park<readonly Answer[]>(this, () => this.#cancel());
  }

  /** Waits for a connection, in the line of a pool. */
  waitFor(turn: Turn): void {
    this.#turn = turn;
    turn.join();
  }

  /** Gets in line for a connection. @param whenReady - told when it is ready for the next request */
  join(session: Session, whenReady?: () => void): void {
    this.#turn = undefined;
    this.#session = session;
    this.#whenReady = whenReady;
    this.#state = "queued";
    session.enter(this);
  }

  /** While it waits for a connection, the pool's holders can end its wait: one is enough. */
  get needsOne(): boolean {
    return this.#turn !== undefined;
  }

  waitsOn(): Iterable<Task<unknown>> {
    const subject = this.#turn?.subject;
    return typeof subject === "object" ? (subject.waitsOn?.() ?? []) : [];
  }

  describeWait(now: number): string {
    const subject = this.#turn?.subject;
    if (subject !== undefined)
      return typeof subject === "string" ? subject : subject.describeWait(now);
    const where = this.#session?.connection.label ?? "a connection";
    const query = JSON.stringify(this.options.title);
    if (this.#state === "queued") return `its turn on ${where}, for query ${query}`;
    if (this.#isCancelling) return `${where} to cancel query ${query}`;
    return `query ${query} on ${where}`;
  }

  start(before?: readonly string[]): void {
    const connection = this.#connection;
    this.#state = "running";
    if (this.#reporter !== undefined) {
      this.#startedAt = this.#loop.time();
      this.#reporter.runsOn(connection.label);
    }
    connection.run(
      this.#request,
      (error, answers) => {
        if (this.#state !== "running") return;
        this.#end(error, answers);
        this.release();
      },
      before,
    );
  }

  /** @internal The server has ended it, and it holds the connection still. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  get #connection(): DriverConnection {
    return (this.#session as Session).connection; // it has one from the queue on
  }

  /** It has left the line. */
  refuse(error: unknown): void {
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
    this.#turn?.leave();
    if (this.#turn !== undefined || this.#session?.leave(this)) {
      this.#state = "ended";
      this.#reporter?.drop("cancelled", undefined);
      return true;
    }
    this.#stop();
    return false;
  }

  /** Asks the server to end it, once. */
  #stop(): void {
    if (this.#state !== "running" || this.#isCancelling) return;
    const connection = this.#connection;
    const { grace } = this.#settings;
    if (this.options.onCancel === "cut") {
      connection.destroy(
        new ConnectionLostError(`${this.options.title} was not answered in time, and was cut off`),
      );
      return;
    }
    if (grace !== Number.POSITIVE_INFINITY)
      this.#patience ??= this.#loop.callLater(grace, () => this.#cutOff());
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
      this.release();
      if (this.#state !== "running") return;
      this.#again = this.#loop.callLater(this.#repeatAfter, () => this.#ask());
      this.#repeatAfter *= 2;
    };
    this.#connection.cancel().then(() => over(), over);
  }

  /** The server has not answered, or the cancel request hangs: nothing may come of it later. */
  #cutOff(): void {
    if (this.#state === "released") return;
    this.#isCancelling = false;
    const connection = this.#connection;
    const { grace } = this.#settings;
    const { title } = this.options;
    const cause = this.#whyNotAsked;
    connection.destroy(
      new ConnectionLostError(
        `${connection.label} was cut off: it has not ended query ${JSON.stringify(title)} within ${grace} s after it was cancelled`,
        cause === undefined ? {} : { cause },
      ),
    );
    this.release(); // if the server had answered, and the cancel request was what hung
  }

  /** The server has ended it: its caller goes on. */
  #end(error: unknown, answers: readonly Answer[]): void {
    const { lost } = this.#connection;
    this.#state = "ended";
    this.#isStopped =
      error !== undefined && (lost !== undefined || this.#settings.dialect.isCancelled(error));
    if (this.#reporter !== undefined) this.#report(this.#reporter, error, answers);
    if (error === undefined) this.wait.resume(answers);
    else if (this.#isCancelled && this.#isStopped) this.wait.joined([], error);
    else if (lost !== undefined && error === lost) this.wait.fail(this.#abandoned ?? lossFor(lost));
    else this.wait.fail(this.#abandoned ?? named(error, this.options.title));
  }

  /**
   * @internal Lets the next one go out, unless a cancel of this one may still come: it would hit that
   * one.
   */
  release(): void {
    const connection = this.#connection;
    if (this.#state !== "ended" || (this.#isCancelling && connection.lost === undefined)) return;
    this.#state = "released";
    this.#patience?.cancel();
    this.#again?.cancel();
    // A cancel request that broke off may still come, unless it was what has ended this query.
    const cause = this.#whyNotAsked;
    if (cause !== undefined && !(this.#isStopped && this.#asked === 1)) {
      const message = `${connection.label} was cut off: a cancel request of it broke off`;
      connection.destroy(new ConnectionLostError(message, { cause }));
    }
    this.#session?.next();
    this.#whenReady?.();
  }

  #report(reporter: Reporter, error: unknown, answers: readonly Answer[]): void {
    const isAsked = this.#isCancelled || this.#abandoned !== undefined;
    reporter.close({
      seconds: this.#loop.time() - this.#startedAt,
      rows: answers.reduce((sum, { count }) => sum + count, 0),
      outcome: error === undefined ? "ok" : isAsked && this.#isStopped ? "cancelled" : "failed",
      error,
    });
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
