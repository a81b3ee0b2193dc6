/**
 * What code on a simulated host opens: listeners and datagram sockets. How things travel is in
 * network.ts.
 */

import { InvalidStateError } from "../errors/errors.ts";
import type { Watched } from "../kernel/host.ts";
import { completed, here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { WaitList } from "../kernel/wait.ts";
import type { MemoryStream } from "../streams/memory-stream.ts";
import {
  type Address,
  type ByteStream,
  type Datagram,
  type DatagramPort,
  type DatagramReceiver,
  type DatagramSocket,
  describeAddress,
  hostError,
  type Listener,
} from "../streams/network.ts";

/** What a host has at a port. */
export interface DatagramEnd {
  arrived(datagram: Datagram): void;
  /** The host goes down. */
  crash(): void;
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
    if (loop.isExact) loop.host.watch?.(this);
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

export class SimulatedSocket implements DatagramSocket, DatagramEnd, Watched {
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
    if (loop.isExact) loop.host.watch?.(this);
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
  crash(): void {
    this.close();
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

/** The most that a datagram over IPv4 can carry: 65,535 bytes without the headers of IP and UDP. */
const LARGEST_DATAGRAM = 65_507;

interface SimulatedPortDetails {
  readonly address: Address;
  readonly remote: Address | undefined;
  readonly receiver: DatagramReceiver;
  /** Sends it; `refused` is called when the news has come that no program listens there. */
  readonly post: (datagram: Datagram, to: Address, refused: () => void) => void;
  /** Sends it to all hosts; undefined if that is not allowed. */
  readonly broadcast: ((datagram: Datagram, port: number) => void) | undefined;
  readonly forget: () => void;
}

const BROADCAST = "255.255.255.255";

/** What `createDatagramEndpoint` opens on a simulated host. */
export class SimulatedPort implements DatagramPort, DatagramEnd {
  readonly address: Address;
  readonly isOutside = false;
  readonly #details: SimulatedPortDetails;
  #isClosed = false;

  constructor(details: SimulatedPortDetails) {
    this.address = details.address;
    this.#details = details;
  }

  send(bytes: Uint8Array, given: Address | undefined, sent: (error?: Error) => void): boolean {
    const { remote, receiver, post, broadcast } = this.#details;
    const to = given ?? (remote as Address); // an endpoint without a remote address is always given one
    const isToAll = to.host === BROADCAST;
    const tooLong = bytes.length > LARGEST_DATAGRAM ? "EMSGSIZE" : undefined;
    const forbidden = isToAll && broadcast === undefined ? "EACCES" : undefined;
    const code = this.#isClosed ? "ENETDOWN" : (tooLong ?? forbidden);
    if (code !== undefined) {
      sent(hostError(code, "send", to));
      return false;
    }
    const datagram = { bytes: bytes.slice(), from: this.address };
    if (isToAll) broadcast?.(datagram, to.port);
    else
      post(datagram, to, () => {
        if (remote !== undefined) receiver.failed(hostError("ECONNREFUSED", "recvmsg"));
      });
    return true;
  }

  arrived(datagram: Datagram): void {
    const { remote, receiver } = this.#details;
    const { host, port } = datagram.from;
    const isForUs = remote === undefined || (remote.host === host && remote.port === port);
    if (isForUs && !this.#isClosed) receiver.arrived(datagram);
  }

  close(closed: () => void): void {
    this.#isClosed = true;
    this.#details.forget();
    closed();
  }

  crash(): void {
    this.close(() => this.#details.receiver.failed(hostError("ENETDOWN", "recvmsg")));
  }
}
