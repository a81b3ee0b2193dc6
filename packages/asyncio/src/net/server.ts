/**
 * Servers. A server is a task that owns a task group: a child accepts connections, and each
 * connection is served by a child. So the owner of the server owns its handlers: when the run ends,
 * when the server is disposed, or when its task is cancelled for any other reason, the listener is
 * closed, the handlers are cancelled, and their connections closed.
 *
 *     close()      ─▶ nothing is accepted any more; handlers go on
 *     shutdown(s)  ─▶ the same, then handlers have s seconds, then they are cancelled
 *     dispose      ─▶ the same with no seconds, and more time for last words
 *
 * Source: asyncio.Server (S144 to S149).
 */

import { advice, CancelledError, checkSeconds, InvalidStateError } from "../errors/errors.ts";
import { completed, here, recognised } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import type { Task } from "../kernel/task.ts";
import { type Wait, WaitList } from "../kernel/wait.ts";
import { type Connection, connectionOf } from "../streams/connection.ts";
import {
  type Address,
  type ByteStream,
  describeAddress,
  type Listener,
} from "../streams/network.ts";
import type { StreamReader } from "../streams/reader.ts";
import type { StreamWriter } from "../streams/writer.ts";
import { createTask } from "../tasks/create-task.ts";
import { listenAfterGroup } from "../tasks/group-child.ts";
import { isNeededBy } from "../tasks/owners.ts";
import { type TaskGroup, taskGroup } from "../tasks/task-group.ts";
import { CancelScope, cleanup, moveOnAfter } from "../tasks/timeouts.ts";
import { secureStream } from "./connection.ts";
import { type Home, isOwnLoss, LAST_MOMENT, LAST_WORDS, Served } from "./served.ts";
import { checkDrain, type DrainOptions, type ServingOptions } from "./serving-options.ts";

/**
 * Serves one connection. The connection is closed when the handler ends or fails. It gets a reader
 * and a writer, as in asyncio, and the connection to which they belong: the same object that
 * `openConnection` gives a client.
 */
export type ConnectionHandler = (
  reader: StreamReader,
  writer: StreamWriter,
  connection: Connection,
) => unknown;

const DEFAULT_BACKLOG = 100;
/**
 * Seconds until a server that is being stopped first looks for handlers that will not end, at
 * least.
 */
const FIRST_LOOK = 0.01;

/**
 * A server that listens. Made by `startServer` and `startUnixServer`.
 *
 * @example
 * const hello: asyncio.ConnectionHandler = (_reader, writer) => writer.write("hello\n");
 * await using server = await asyncio.startServer(hello, "127.0.0.1", 0);
 * const [{ host, port }] = server.sockets;
 * await using connection = await asyncio.openConnection(host, port);
 * assert.equal(await connection.reader.readLine({ encoding: "utf-8" }), "hello");
 */
export class Server implements AsyncDisposable {
  /** What reports call it. */
  readonly name: string;
  /** Where it listens, or has listened. */
  readonly sockets: readonly [Address, ...Address[]];
  /** TLS handshakes that have failed: no handler was called for them. */
  failedHandshakes = 0;
  readonly #handler: ConnectionHandler;
  readonly #options: ServingOptions;
  readonly #listeners: readonly Listener[];
  /** Owns everything that the server does. */
  readonly #task: Task<void>;
  /** The connections that have a handler. */
  readonly #served: Set<Served> = new Set();
  /** Those that wait for one to end. */
  readonly #waiting: ByteStream[] = [];
  /** Wakes the task at the door, which starts handlers for waiting connections. */
  #bell: Wait<void> | undefined = undefined;
  #isClosed = false;
  /** True once it is closed and every handler has ended, or was left behind. */
  #hasEnded = false;
  #servesForever = false;
  readonly #closers: WaitList = new WaitList();

  /** @internal */
  constructor(handler: ConnectionHandler, listeners: readonly Listener[], options: ServingOptions) {
    this.#handler = handler;
    this.#listeners = listeners;
    this.#options = options;
    this.sockets = listeners.map(({ address }) => address) as [Address, ...Address[]]; // one at least
    this.name = options.name ?? describeAddress(this.sockets[0]);
    this.#task = createTask(() => this.#supervise(), { name: `server ${this.name}` });
    this.#task.listen({ futureDone: () => this.#ended() }); // its body may not come to its end
  }

  /**
   * Connections that were accepted and have not ended. Connections that wait for a handler are
   * counted, too.
   */
  get connections(): number {
    return this.#served.size + this.#waiting.length;
  }

  /** Whether it takes connections. */
  isServing(): boolean {
    return !this.#isClosed;
  }

  /** Takes no more connections; those that it has live on. Not a wait. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) listener.close();
    this.#bell?.resume();
  }

  /**
   * Closes all connections, each after the bytes that were written to it have left. Reads of the
   * handlers come to the end. Not a wait.
   */
  closeClients(): void {
    for (const stream of this.#all()) stream.close();
  }

  /** Closes all connections at once. Bytes on their way are dropped. Not a wait. */
  abortClients(): void {
    for (const stream of this.#all()) stream.abort();
  }

  /**
   * Waits until the server was closed and its last handler has ended. A checkpoint.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for
   * itself.
   */
  waitClosed(): Promise<void> {
    const scope = here();
    const subject = `the end of server ${this.name}`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    try {
      this.#checkOutside("`server.waitClosed`");
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#hasEnded) return completed(scope, subject, undefined);
    const wait = park<void>(scope, subject);
    this.#closers.add(wait);
    return wait.promise;
  }

  /**
   * Waits until the server was closed and its last handler has ended. This is for a program whose
   * main has nothing else to do. If it is cancelled, for example by a signal to the program, it
   * closes the server and gives the handlers `drain` seconds to end. Then it cancels those that
   * have not ended, and waits for them.
   * @throws InvalidStateError when the server was closed before, or the second time.
   */
  async serveForever(options: DrainOptions = {}): Promise<void> {
    const drain = checkDrain("`server.serveForever`", options);
    this.#checkOutside("`server.serveForever`");
    if (this.#isClosed || this.#servesForever) {
      const found = this.#isClosed ? "is closed" : "serves for ever already";
      throw new InvalidStateError(
        `\`serveForever\` was called on server ${this.name}, which ${found}`,
      );
    }
    this.#servesForever = true;
    try {
      await this.waitClosed();
    } catch (error) {
      this.close();
      if (drain > 0) await cleanup(drain, () => this.waitClosed());
      await this.#stop(drain > 0 ? LAST_MOMENT : LAST_WORDS);
      throw error;
    }
  }

  /**
   * Takes no more connections and gives the handlers `seconds` to end. Then it cancels those that
   * have not ended, and waits for them. What was written by then, or is written by their cleanup,
   * has a quarter of a second to leave; a connection whose peer does not read it is aborted. A
   * handler that sits in a foreign await when its grace period is over is left behind: its
   * connection is closed, and it is reported. If `shutdown` is cancelled, it cancels the handlers
   * at once. Handlers can ask `server.isServing()` whether a shutdown has begun.
   * @throws InvalidStateError in a handler, and in a task that one waits for: it would wait for
   * itself.
   */
  async shutdown(seconds: number): Promise<void> {
    checkSeconds("`server.shutdown`", "a number of seconds", seconds);
    this.#checkOutside("`server.shutdown`");
    this.close();
    try {
      const drained = await moveOnAfter(seconds, () => this.waitClosed());
      if (!drained.cancelled) return;
      this.#checkOutside("`server.shutdown`"); // a handler may have begun to wait for it
      await this.#stop(LAST_MOMENT);
    } catch (error) {
      await this.#stop(LAST_MOMENT);
      throw error;
    }
  }

  /**
   * Closes it, cancels the handlers, and waits for them. What they have written has 5 seconds to
   * leave.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#checkOutside("`await using server`");
    await this.#stop(LAST_WORDS);
  }

  /**
   * The task that owns the handlers is joined: a cancellation meanwhile is delivered when they have
   * ended.
   */
  async #stop(lastWords: number): Promise<void> {
    this.#home.lastWords = Math.min(lastWords, this.#home.lastWords); // another call may be in a hurry
    this.close();
    this.#task.cancel();
    if (this.#isInside()) return;
    await cleanup(Number.POSITIVE_INFINITY, () => this.#handlersEnded());
  }

  /**
   * Waits for the handlers. A handler in a foreign await may never end. When its grace period is
   * over, it is left behind and its connection is closed. A handler that is cleaning up now may
   * come to such an await later, so this looks again and again, less and less often.
   */
  async #handlersEnded(): Promise<void> {
    const { loop } = here();
    for (let seconds = Math.max(loop.cancelGrace, FIRST_LOOK); ; seconds *= 2) {
      const ended = await moveOnAfter(seconds, () => this.waitClosed());
      if (!ended.cancelled) return;
      const idle = [...this.#served]
        .map((served) => [served, served.swallowed] as const)
        .filter(([served, swallowed]) => served.isStuck(swallowed));
      if (idle.length === 0) continue;
      // What was about to go on has done so by then: virtual time stands still meanwhile.
      if (!(await moveOnAfter(0.001, () => this.waitClosed())).cancelled) return;
      const stuck = idle.filter(([served, swallowed]) => served.isStuck(swallowed));
      this.#leaveBehind(stuck.map(([served]) => served));
    }
  }

  #leaveBehind(stuck: readonly Served[]): void {
    if (stuck.length === 0) return;
    for (const served of stuck) {
      served.cutOff();
      this.#served.delete(served);
    }
    const peers = stuck.slice(0, 3).map(({ peer }) => peer);
    const more = stuck.length > peers.length ? ", ..." : "";
    const [what, whose] =
      stuck.length === 1
        ? ["1 handler", "connection"]
        : [`${stuck.length} handlers`, "connections"];
    const message = `server ${this.name} has left ${what} behind, cancelled and past the grace period, in a foreign await; the ${whose} to ${peers.join(", ")}${more} is closed`;
    here().loop.callExceptionHandler({ message, task: stuck[0]?.task });
    if (this.#served.size === 0) this.#ended();
  }

  async #supervise(): Promise<void> {
    await taskGroup(async (group) => {
      for (const listener of this.#listeners) group.createTask(() => this.#accept(group, listener));
      await this.#keepDoor(group);
    });
  }

  /** Nothing is served any more, and nothing will be. */
  #ended(): void {
    this.close();
    for (const stream of this.#waiting.splice(0)) stream.abort();
    this.#hasEnded = true;
    this.#closers.resumeAll(undefined);
  }

  async #accept(group: TaskGroup<void>, listener: Listener): Promise<void> {
    const { backlog = DEFAULT_BACKLOG } = this.#options;
    try {
      for (;;) {
        const stream = await listener.accept();
        // <- `close` was called in the step in which it came: `closeClients` does not know it
        if (this.#isClosed) stream.abort();
        else if (this.#hasPlace) this.#start(group, stream);
        else if (this.#waiting.length < backlog) this.#waiting.push(stream);
        else stream.abort();
      }
    } catch (error) {
      // That is how it ends when the listener was closed.
      if (!(error instanceof InvalidStateError)) throw error;
    } finally {
      this.close();
    }
  }

  get #hasPlace(): boolean {
    return this.#served.size < (this.#options.maxConnections ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Starts the handlers of waiting connections as places become free. It runs in the body of the
   * group for two reasons: the group stays open for these handlers, and they start in the context
   * of the server, not of the handler whose place they take.
   */
  async #keepDoor(group: TaskGroup<void>): Promise<void> {
    const scope = here();
    const subject = { describeWait: () => `the end of server ${this.name}` };
    while (!this.#isClosed || this.#waiting.length > 0) {
      // <- `close` has rung, and the server was cancelled in the same step: no waiting connection
      // gets a handler any more
      const stop = scope.interruption(subject);
      if (stop !== undefined) await stop;
      const bell = park<void>(scope, subject);
      this.#bell = bell;
      await bell.promise;
      for (let next = this.#next(); next !== undefined; next = this.#next())
        this.#start(group, next);
    }
  }

  #next(): ByteStream | undefined {
    return this.#hasPlace ? this.#waiting.shift() : undefined;
  }

  readonly #home: Home = {
    lastWords: LAST_WORDS,
    over: (served) => {
      this.#served.delete(served);
      if (this.#waiting.length > 0) this.#bell?.resume();
    },
  };

  #start(group: TaskGroup<void>, stream: ByteStream): void {
    const served = new Served(stream, this.#home);
    this.#served.add(served);
    try {
      served.task = group.createTask(() => this.#serve(served));
      listenAfterGroup(served.task, served);
    } catch (error) {
      this.#served.delete(served);
      stream.abort(); // the group is being cancelled
      if (!(error instanceof InvalidStateError)) throw error;
    }
  }

  /** No async function: idle connections are many, and a frame is 450 bytes (bench: idle). */
  #serve(served: Served): Promise<void> {
    return this.#call(served).then(
      () => served.end(),
      (thrown) => this.#failed(served, thrown),
    );
  }

  #call({ stream }: Served): Promise<unknown> {
    const { tls, cancelOnEof } = this.#options;
    if (tls !== undefined || cancelOnEof === true) return this.#secureAndCall(stream);
    try {
      const connection = connectionOf(stream, this.#options);
      const { reader, writer } = connection;
      return Promise.resolve(this.#handler(reader, writer, connection));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #secureAndCall(stream: ByteStream): Promise<void> {
    if (!(await this.#secured(stream))) return;
    const connection = connectionOf(stream, this.#options);
    const { reader, writer } = connection;
    if (this.#options.cancelOnEof !== true) {
      await this.#handler(reader, writer, connection);
      return;
    }
    const scope = new CancelScope();
    const stop = reader.onEof(() => scope.cancel("the client has ended its side"));
    try {
      await scope.run(() => this.#handler(reader, writer, connection));
    } finally {
      stop();
    }
  }

  async #failed(served: Served, thrown: unknown): Promise<void> {
    try {
      const exception = recognised(thrown, here());
      if (exception instanceof CancelledError) throw exception;
      this.#report(exception, served);
    } finally {
      await served.end();
    }
  }

  /**
   * False if the handshake has failed: any client can send garbage, so it is counted, and shown in
   * debug mode only.
   */
  async #secured(stream: ByteStream): Promise<boolean> {
    const { tls } = this.#options;
    if (tls === undefined) return true;
    try {
      await secureStream("`startServer`", stream, tls);
      return true;
    } catch (exception) {
      if (exception instanceof CancelledError || exception instanceof InvalidStateError)
        throw exception;
      this.failedHandshakes++;
      const { loop, task } = here();
      const message = `a TLS handshake of server ${this.name} has failed`;
      if (loop.debug) loop.callExceptionHandler({ message, exception, task });
      return false;
    }
  }

  /** A handler that ends because its peer is gone has not failed. */
  #report(exception: unknown, { stream, peer }: Served): void {
    const { loop, task } = here();
    if (isOwnLoss(exception, stream) && !loop.debug) return;
    const message = `a handler of server ${this.name} has failed; its connection to ${peer} is closed`;
    loop.callExceptionHandler({ message, exception, task });
  }

  #checkOutside(api: string): void {
    if (!this.#isInside()) return;
    const cure = advice("Call `server.close()`, or start a task outside the server that waits");
    throw new InvalidStateError(
      `${api} was called by a handler of server ${this.name}, or by a task that one waits for: it would wait for itself${cure}`,
    );
  }

  /** True if a handler waits for the running code to end, or is running itself. */
  #isInside(): boolean {
    const { task } = here();
    return (
      task !== undefined &&
      isNeededBy(task, new Set([...this.#served].map((served) => served.task)))
    );
  }

  #all(): ByteStream[] {
    return [...[...this.#served].map(({ stream }) => stream), ...this.#waiting];
  }
}
