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

import { CancelScope, getRunningLoop } from "asyncio-ts";
import { currentScope, interruption, park, refuse, type Scope } from "asyncio-ts/lowlevel";
import type { Answer, DriverConnection, Request } from "./driver.ts";
import { ConnectionLostError } from "./errors.ts";
import { Exchange, lossFor, type RequestOptions, type SessionOptions } from "./exchange.ts";
import { Reporter } from "./reports.ts";

/** A connection, with a line. */
export class Session {
  readonly connection: DriverConnection;
  readonly options: SessionOptions;
  /** The scopes of the bodies of the program that have it, one in the other. */
  readonly bodies: Set<Scope> = new Set();
  /** Told when the connection is lost. */
  readonly losses: Set<(reason: Error) => void> = new Set();
  readonly #line: Exchange[] = [];
  #opening: { readonly owner: object; readonly statements: () => readonly string[] } | undefined =
    undefined;
  #running: Exchange | undefined = undefined;
  /** True while `restore` is under way. */
  #isRestoring = false;
  readonly #loop = getRunningLoop();
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
    return this.#running !== undefined || this.#line.length > 0 || this.#isRestoring;
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

  /**
   * Brings an idle connection back to what it was when it was opened, and calls back. Nobody waits for
   * that but whoever wants the connection next. One that is not brought back in time is cut off.
   */
  restore(over: () => void): void {
    const { grace, onQuery, database } = this.options;
    const { connection } = this;
    const { label, reset = "" } = connection;
    const reporter = Reporter.open(onQuery, database, "reset");
    reporter?.runsOn(label);
    const startedAt = this.#loop.time();
    const cutOff = (why: string, cause?: unknown): void =>
      this.destroy(new ConnectionLostError(`${label} was cut off: ${why}`, { cause }));
    const patience =
      grace === Number.POSITIVE_INFINITY
        ? undefined
        : this.#loop.callLater(grace, () => cutOff(`its session was not reset within ${grace} s`));
    this.#isRestoring = true;
    connection.run({ kind: "script", text: reset }, (error) => {
      patience?.cancel();
      this.#isRestoring = false;
      const seconds = this.#loop.time() - startedAt;
      reporter?.close({ seconds, rows: 0, outcome: error === undefined ? "ok" : "failed", error });
      if (error !== undefined) cutOff("its session could not be reset", error);
      this.#tellIfIdle();
      over();
    });
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
    const value = await scope.run(() => {
      inside = currentScope() as Scope; // a body has one
      session.bodies.add(inside);
      return body();
    });
    if (session.lost !== undefined || scope.cancelled) throw lossOf(session.lost);
    return value as T; // it was not cut off
  } finally {
    if (inside !== undefined) session.bodies.delete(inside);
    session.losses.delete(lose);
  }
}
