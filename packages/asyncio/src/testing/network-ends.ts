/** What code on a simulated host opens: listeners and datagram sockets. How things travel is in network.ts. */

import { InvalidStateError } from "../kernel/errors.ts";
import { completed, here } from "../kernel/here.ts";
import type { Watched } from "../kernel/host.ts";
import {
  type Address,
  type ByteStream,
  type DatagramSocket,
  describeAddress,
  type Listener,
} from "../kernel/network.ts";
import { park } from "../kernel/scope.ts";
import { WaitList } from "../kernel/wait.ts";
import type { MemoryStream } from "./memory-stream.ts";

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Address;
}

/** Datagrams that wait to be received, at most; later ones are dropped. */
const MOST_DATAGRAMS = 1000;

export class SimulatedListener implements Listener, Watched {
  readonly address: Address;
  readonly #forget: () => void;
  readonly #waiters: WaitList = new WaitList();
  readonly #backlog: MemoryStream[] = [];
  #isClosed = false;

  constructor(address: Address, forget: () => void) {
    this.address = address;
    this.#forget = forget;
    const { loop } = here();
    if (loop.isExact) loop.watch(this);
  }

  accept(): Promise<ByteStream> {
    const scope = here();
    const subject = `listener ${describeAddress(this.address)}.accept`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#isClosed) return Promise.reject(this.#closedError());
    const stream = this.#backlog.shift();
    if (stream !== undefined) return completed<ByteStream>(scope, subject, stream);
    const wait = park<ByteStream>(scope, subject);
    wait.handsOver = true;
    this.#waiters.add(wait);
    return wait.promise;
  }

  /** Connections as they come, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ByteStream, void, undefined> {
    while (!this.#isClosed) yield await this.accept();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#waiters.failAll(() => this.#closedError());
    for (const stream of this.#backlog.splice(0)) stream.abort();
  }

  /** @internal */
  connected(stream: MemoryStream): void {
    if (this.#waiters.resumeFirst(stream) === undefined) this.#backlog.push(stream);
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    return this.#isClosed ? undefined : `a listener on ${describeAddress(this.address)}`;
  }

  #closedError(): InvalidStateError {
    return new InvalidStateError(`the listener on ${describeAddress(this.address)} is closed`);
  }
}

export class SimulatedSocket implements DatagramSocket, Watched {
  readonly address: Address;
  /** Datagrams that came while too many waited. */
  dropped = 0;
  readonly #send: (datagram: Datagram, to: Address) => void;
  readonly #forget: () => void;
  readonly #waiters: WaitList = new WaitList();
  readonly #arrived: Datagram[] = [];
  #isClosed = false;

  constructor(
    address: Address,
    send: (datagram: Datagram, to: Address) => void,
    forget: () => void,
  ) {
    this.address = address;
    this.#send = send;
    this.#forget = forget;
    const { loop } = here();
    if (loop.isExact) loop.watch(this);
  }

  send(bytes: Uint8Array, to: Address): void {
    if (this.#isClosed) throw this.#closedError();
    this.#send({ bytes: bytes.slice(), from: this.address }, to);
  }

  receive(): Promise<Datagram> {
    const scope = here();
    const subject = `datagram socket ${describeAddress(this.address)}.receive`;
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#isClosed) return Promise.reject(this.#closedError());
    const datagram = this.#arrived.shift();
    if (datagram !== undefined) return completed(scope, subject, datagram);
    const wait = park<Datagram>(scope, subject);
    wait.handsOver = true;
    this.#waiters.add(wait);
    return wait.promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#waiters.failAll(() => this.#closedError());
  }

  /** @internal */
  arrived(datagram: Datagram): void {
    if (this.#waiters.resumeFirst(datagram) !== undefined) return;
    if (this.#arrived.length < MOST_DATAGRAMS) this.#arrived.push(datagram);
    else this.dropped++;
  }

  /** What tests that leave it open are told. */
  leftover(): string | undefined {
    return this.#isClosed ? undefined : `a datagram socket on ${describeAddress(this.address)}`;
  }

  #closedError(): InvalidStateError {
    return new InvalidStateError(`the socket on ${describeAddress(this.address)} is closed`);
  }
}
