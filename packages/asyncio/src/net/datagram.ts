/**
 * Datagrams: messages that arrive as a whole, in any order, or not at all. An endpoint keeps what
 * has arrived in a bounded queue: a network does not wait for a slow reader, so what does not fit
 * is dropped, and counted.
 *
 * What an endpoint stands on is a `DatagramPort`: a socket of the host (real-datagram.ts), or one
 * of a simulated network. Source: asyncio's create_datagram_endpoint, as a stream of messages
 * instead of a protocol.
 */

import {
  advice,
  argumentError,
  checkCount,
  checkOptions,
  InvalidStateError,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { dependents } from "../interop/dependents.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { completed, here, refused } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import { type Wait, WaitList, type WaitSubject } from "../kernel/wait.ts";
import { disposeOf } from "../streams/dispose.ts";
import { encodeText, isBytes } from "../streams/encode.ts";
import {
  type Address,
  type Datagram,
  type DatagramPort,
  type DatagramPortOptions,
  type DatagramReceiver,
  describeAddress,
  networkOfHost,
} from "../streams/network.ts";
import { RingBuffer } from "../structures/ring-buffer.ts";
import { ADDRESS, checkHost } from "./host-name.ts";
import { openRealPort } from "./real-datagram.ts";

/** What `createDatagramEndpoint` takes. */
export interface DatagramEndpointOptions {
  /** Where it listens. @default every interface of the machine, and a free port */
  readonly local?: { readonly host?: string; readonly port?: number } | undefined;
  /** Connects it: datagrams go to this address, and only those that come from it are received. */
  readonly remote?: Address | undefined;
  /** 4 or 6. @default 6 if an address above is one of IPv6, else 4 */
  readonly family?: 4 | 6 | undefined;
  /** The most datagrams that wait to be received. Further ones are dropped. @default 1,000 */
  readonly queueSize?: number | undefined;
  /** Allows sending to a broadcast address. @default false */
  readonly broadcast?: boolean | undefined;
  /** Lets it share its address with sockets that do the same. @default false */
  readonly reuseAddress?: boolean | undefined;
  /**
   * Lets it share its port, and the datagrams, with other processes: Linux, Node 23.1 and later.
   * @default false
   */
  readonly reusePort?: boolean | undefined;
  /** Bytes that the operating system keeps for it until they are read. @default the system's */
  readonly receiveBufferSize?: number | undefined;
  /** Bytes that the operating system keeps for it until they have left. @default the system's */
  readonly sendBufferSize?: number | undefined;
}

const KNOWN: Names<DatagramEndpointOptions> = {
  local: 1,
  remote: 1,
  family: 1,
  queueSize: 1,
  broadcast: "boolean",
  reuseAddress: "boolean",
  reusePort: "boolean",
  receiveBufferSize: 1,
  sendBufferSize: 1,
};
const DEFAULT_QUEUE_SIZE = 1000;
/** The system takes it as a signed number of 32 bits. */
const LARGEST_BUFFER = 2 ** 31 - 1;
const API = "`createDatagramEndpoint`";

/**
 * Opens a datagram socket: on the simulated host that the code runs on, else on the real network.
 * The code that opens it closes it, best by `await using`; what is left open is closed when the run
 * ends. Cancelled, there is no socket. Errors of the system keep their `code`: EADDRINUSE, EACCES,
 * ENOTFOUND.
 *
 * @example
 * await using server = await asyncio.createDatagramEndpoint({ local: { host: "127.0.0.1" } });
 * await using client = await asyncio.createDatagramEndpoint({ remote: server.address });
 * await client.send("ping");
 * const { bytes, from } = await server.receive();
 * await server.send(bytes, from);
 * assert.equal(new TextDecoder().decode((await client.receive()).bytes), "ping");
 */
export async function createDatagramEndpoint(
  options: DatagramEndpointOptions = {},
): Promise<DatagramEndpoint> {
  checkEndpointOptions(options);
  const { local, remote, queueSize = DEFAULT_QUEUE_SIZE } = options;
  const isVersion6 = [local?.host, remote?.host].some((host) => host?.includes(":"));
  const { family = isVersion6 ? 6 : 4 } = options;
  if (family !== 4 && family !== 6) throw argumentError(API, "`family` to be 4 or 6", family);
  const { broadcast = false, reuseAddress = false, reusePort = false } = options;
  const portOptions = { ...options, family, broadcast, reuseAddress, reusePort };
  return await openEndpoint((receiver) => openPort(portOptions, receiver), queueSize, remote);
}

function checkEndpointOptions(options: DatagramEndpointOptions): void {
  checkOptions(API, options, KNOWN);
  const { local, remote, queueSize = DEFAULT_QUEUE_SIZE } = options;
  checkCount(API, "`queueSize`", queueSize);
  for (const name of ["receiveBufferSize", "sendBufferSize"] as const) {
    const { [name]: size } = options;
    if (size === undefined) continue;
    if (typeof size !== "number")
      throw argumentError(API, `\`${name}\` to be a number of bytes`, size);
    if (!Number.isInteger(size) || size < 1 || size > LARGEST_BUFFER)
      throw rangeError(API, `\`${name}\` from 1 to 2,147,483,647 bytes`, size);
  }
  if (remote !== undefined) checkAddress(API, "remote", remote);
  if (local === undefined) return;
  if (typeof local !== "object" || local === null)
    throw argumentError(API, "`local` to be an address, { host, port }", local);
  checkOptions(`\`local\` of ${API}`, local, ADDRESS);
  if (local.host !== undefined) checkHost(API, "`local.host` to be a string", local.host);
  if (local.port !== undefined) checkPort(API, "local.port", local.port, 0);
}

/** @internal For ports of other kinds. */
export async function openEndpoint(
  open: (receiver: DatagramReceiver) => PromiseLike<DatagramPort>,
  queueSize: number,
  remote?: Address,
): Promise<DatagramEndpoint> {
  const { loop } = here();
  const inbox = new Inbox(queueSize);
  return new DatagramEndpoint(loop, await open(inbox), inbox, remote);
}

function openPort(options: DatagramPortOptions, receiver: DatagramReceiver): Promise<DatagramPort> {
  const network = networkOfHost();
  const stop = network && here().interruption("createDatagramEndpoint");
  return stop ?? network?.openDatagramPort(options, receiver) ?? openRealPort(options, receiver);
}

/** What has arrived and was not received: datagrams, and errors between them in their place. */
class Inbox implements DatagramReceiver {
  readonly #limit: number;
  readonly #items: RingBuffer<Datagram | Error> = new RingBuffer();
  readonly waiters: WaitList = new WaitList();
  dropped = 0;
  /**
   * True if the item that came last, and is still here, is an error: one tells as much as a
   * thousand.
   */
  #endsInError = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  arrived(datagram: Datagram): void {
    if (this.waiters.resumeFirst(datagram) !== undefined) return;
    if (this.#items.length >= this.#limit) this.dropped++;
    else {
      this.#items.push(datagram);
      this.#endsInError = false;
    }
  }

  failed(error: Error): void {
    const { first } = this.waiters;
    if (first !== undefined) first.fail(error);
    else if (!this.#endsInError || this.isEmpty) {
      this.#items.push(error);
      this.#endsInError = true;
    }
  }

  take(): Datagram | Error {
    return this.#items.shift();
  }

  close(makeError: () => Error): void {
    while (!this.isEmpty) this.#items.shift();
    this.waiters.failAll(makeError);
  }
}

/** An open datagram socket. Made by `createDatagramEndpoint`. */
export class DatagramEndpoint implements AsyncDisposable {
  /** @internal */
  readonly loop: EventLoop;
  /** Where it listens. */
  readonly address: Address;
  /** What it is connected to; undefined if it is not. */
  readonly remote: Address | undefined;
  readonly #port: DatagramPort;
  readonly #inbox: Inbox;
  readonly #closers: WaitList = new WaitList();
  readonly #senders: WaitList = new WaitList();
  /** Told when it is gone, outside the loop. */
  readonly #whenGone: (() => void)[] = [];
  readonly #receiveSubject: WaitSubject = { describeWait: () => `${this.describe()}.receive` };
  readonly #sendSubject: WaitSubject = { describeWait: () => `${this.describe()}.send` };
  readonly #closeSubject: WaitSubject = { describeWait: () => `${this.describe()}.waitClosed` };
  /** Datagrams that the system has not taken yet. */
  #unsent = 0;
  /**
   * open, then closing (nothing more is taken, what was taken is sent), then leaving (the port
   * closes), then gone.
   */
  #state: "open" | "closing" | "leaving" | "gone" = "open";

  /** @internal */
  constructor(loop: EventLoop, port: DatagramPort, inbox: Inbox, remote: Address | undefined) {
    this.loop = loop;
    this.address = port.address;
    this.remote = remote;
    this.#port = port;
    this.#inbox = inbox;
    dependents.add(this);
    if (loop.isExact) loop.host.watch?.(this);
  }

  /**
   * How many datagrams were dropped because `queueSize` others were waiting. Datagrams that the
   * system drops are not counted.
   */
  get dropped(): number {
    return this.#inbox.dropped;
  }

  /**
   * Sends one datagram to `to`, or to the remote address. It carries a copy of `bytes`, taken in
   * the call; a string is sent as UTF-8. Waits until the system has taken the datagram, which says
   * nothing about its arrival. If the wait is cancelled, the datagram is sent all the same. Rejects
   * with the error of the system: EMSGSIZE if it is too long, or the error that the datagram before
   * has caused (ECONNREFUSED).
   */
  send(bytes: Uint8Array | string, to?: Address): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#sendSubject);
    if (stop !== undefined) return stop;
    try {
      this.#checkOpen("send");
      this.#checkTarget(to);
      return this.#post(scope, bytesOf(bytes), to);
    } catch (error) {
      return refused(scope, this.#sendSubject, error);
    }
  }

  #post(scope: Scope, bytes: Uint8Array, to: Address | undefined): Promise<void> {
    let wait: Wait<void> | undefined;
    let early: { readonly error: Error | undefined } | undefined;
    const finish = (error?: Error): void => {
      this.#unsent--;
      if (wait === undefined) early = { error };
      else if (error === undefined) wait.resume();
      else wait.fail(error);
      if (this.#state === "closing" && this.#unsent === 0) this.#leave();
    };
    if (this.#port.send(bytes, to, finish)) return completed(scope, this.#sendSubject, undefined);
    this.#unsent++;
    wait = park<void>(scope, this.#sendSubject);
    this.#senders.add(wait as Wait);
    if (early !== undefined) early.error === undefined ? wait.resume() : wait.fail(early.error);
    else if (this.#port.isOutside) wait.waitsOutside();
    return wait.promise;
  }

  /**
   * Waits for the next datagram; several tasks get them in turn. Cancelled, it has taken none.
   * Rejects when the network says that something sent from here has failed (on a connected
   * endpoint: ECONNREFUSED, no program listens there); the endpoint can be used further. Rejects
   * with an InvalidStateError once it is closed, and drops what was not received by then.
   */
  receive(): Promise<Datagram> {
    const scope = here();
    const stop = scope.interruption(this.#receiveSubject);
    if (stop !== undefined) return stop;
    if (this.#state !== "open")
      return refused(scope, this.#receiveSubject, this.#closedError("receive"));
    if (!this.#inbox.isEmpty) {
      const item = this.#inbox.take();
      if (item instanceof Error) return refused(scope, this.#receiveSubject, item);
      return completed(scope, this.#receiveSubject, item);
    }
    const wait = park<Datagram>(scope, this.#receiveSubject);
    wait.handsOver = true;
    if (this.#port.isOutside) wait.waitsOutside();
    this.#inbox.waiters.add(wait);
    return wait.promise;
  }

  /**
   * Datagrams as they come; ends when the endpoint is closed. Leaving it with `break` does not
   * close the endpoint.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram> {
    const next = async (): Promise<IteratorResult<Datagram, undefined>> => {
      if (this.#state !== "open") return { done: true, value: undefined };
      try {
        return { done: false, value: await this.receive() };
      } catch (error) {
        if (error instanceof InvalidStateError) return { done: true, value: undefined }; // closed meanwhile
        throw error;
      }
    };
    return { next, [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() };
  }

  /** True once it was closed, or has failed. */
  isClosing(): boolean {
    return this.#state !== "open";
  }

  /**
   * Closes it as soon as the system has taken what was sent. Waits in `receive` reject with an
   * InvalidStateError.
   */
  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#inbox.close(() => this.#closedError("receive"));
    if (this.#unsent === 0) this.#leave();
  }

  /**
   * Closes it at once. Datagrams that the system has not taken yet are lost, and tasks that wait
   * for that get an InvalidStateError.
   */
  abort(): void {
    this.close();
    if (this.#state !== "closing") return;
    this.#leave();
    // A socket that is closed while it looks an address up never tells what has become of the
    // datagram.
    this.#senders.failAll(() => this.#closedError("send"));
  }

  /** Waits until the socket is gone, after `close` or `abort`. A checkpoint. */
  async waitClosed(): Promise<void> {
    const scope = here();
    const stop = scope.interruption(this.#closeSubject);
    if (stop !== undefined) await stop;
    if (this.#state === "gone") return await completed(scope, this.#closeSubject, undefined);
    const wait = park<void>(scope, this.#closeSubject);
    if (this.#port.isOutside) wait.waitsOutside();
    this.#closers.add(wait);
    await wait.promise;
  }

  /**
   * Closes it and waits until it is gone. Cancelled meanwhile, or in a scope that was, it aborts:
   * what the system has not taken is lost. It rejects then with the cancellation, unless the block
   * is being left by that already.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await disposeOf(this, this.#closeSubject);
  }

  /** @internal */
  get unsent(): number {
    return this.#unsent;
  }

  /** @internal */
  describe(): string {
    const to = this.remote === undefined ? "" : ` to ${describeAddress(this.remote)}`;
    return `datagram endpoint ${describeAddress(this.address)}${to}`;
  }

  /** @internal What tests that leave it open are told. */
  leftover(): string | undefined {
    return this.#state === "open" ? this.describe() : undefined;
  }

  /** @internal */
  end(): Promise<void> {
    this.abort();
    return this.#state === "gone"
      ? Promise.resolve()
      : new Promise((resolve) => this.#whenGone.push(resolve));
  }

  #leave(): void {
    this.#state = "leaving";
    this.#port.close(() => {
      this.#state = "gone";
      dependents.delete(this);
      this.#closers.resumeAll(undefined);
      for (const tell of this.#whenGone.splice(0)) tell();
    });
  }

  #checkOpen(call: string): void {
    if (this.#state !== "open") throw this.#closedError(call);
  }

  #closedError(call: string): InvalidStateError {
    return new InvalidStateError(`\`endpoint.${call}\` found ${this.describe()} closed`);
  }

  #checkTarget(to: Address | undefined): void {
    const { remote } = this;
    if (to !== undefined) checkAddress("`endpoint.send`", "to", to);
    if (remote === undefined && to === undefined) {
      const cure = advice("Give one, or open the endpoint with `remote`");
      throw argumentError("`endpoint.send`", "an address to send to", to, cure);
    }
    if (
      remote !== undefined &&
      to !== undefined &&
      describeAddress(to) !== describeAddress(remote)
    ) {
      const expected = `no address but ${describeAddress(remote)}`;
      const cure = advice("An endpoint that is connected sends to its remote address alone");
      throw argumentError("`endpoint.send`", expected, describeAddress(to), cure);
    }
  }
}

function bytesOf(bytes: unknown): Uint8Array {
  if (isBytes(bytes)) return bytes;
  if (typeof bytes === "string") return encodeText(bytes);
  throw argumentError("`endpoint.send`", "a Uint8Array or a string", bytes);
}

function checkAddress(api: string, name: string, address: Address): void {
  if (typeof address !== "object" || address === null || typeof address.host !== "string")
    throw argumentError(api, `\`${name}\` to be an address, { host, port }`, address);
  checkHost(api, `\`${name}.host\` to be a string`, address.host);
  checkPort(api, `${name}.port`, address.port, 1);
}

function checkPort(api: string, name: string, port: unknown, least: number): void {
  if (typeof port !== "number") throw argumentError(api, `\`${name}\` to be a number`, port);
  if (!Number.isInteger(port) || port < least || port > 65_535)
    throw rangeError(api, `\`${name}\` from ${least} to 65,535`, port);
}
