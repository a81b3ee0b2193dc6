/**
 * What streams, servers and datagrams need of the host's network. A loop in virtual time answers
 * with one in memory (testing/network.ts); the real one is in net/. All waits are operations:
 * cancelled, they have done nothing.
 */

import { argumentError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";

/** One end of a connection, or the place where a server or a datagram socket listens. */
export interface Address {
  /** Empty for a Unix socket. */
  readonly host: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** The path of a Unix socket; empty at an end that has none. */
  readonly path?: string | undefined;
}

/** Where a connection goes. */
export interface Destination extends Address {
  /** The name under which the address was found: what the certificate of a server has to be for. */
  readonly hostname?: string | undefined;
}

/**
 * Two-way bytes, as a TCP connection has them. What is built on it (streams/) runs on sockets,
 * pipes and in memory.
 */
export interface ByteStream {
  /** The address of this end. */
  readonly localAddress: Address;
  /** The address of the peer. */
  readonly remoteAddress: Address;
  /**
   * Unsent bytes above which `write` waits, and above which a StreamWriter waits if it is told
   * nothing else.
   */
  readonly highWaterMark: number;
  /**
   * Bytes taken that are still here: not handed to the operating system; in memory, not read by the
   * peer.
   */
  readonly unsent: number;
  /**
   * Bytes taken that will never go out, since the connection is lost or aborted. @default 0
   */
  readonly dropped?: number | undefined;
  /**
   * Why nothing goes out any more: the connection is lost or aborted. Undefined while it lives, and
   * after `close`.
   */
  readonly lost: Error | undefined;
  /**
   * Whether `error` is one by which this end tells that the connection is lost. @default it is
   * `lost`
   */
  isLoss?(error: unknown): boolean;
  /** True once `close` or `abort` was called: nothing more is taken. @default false */
  readonly isClosing?: boolean | undefined;
  /** False if one side cannot be ended alone. @default true */
  readonly canWriteEof?: boolean | undefined;
  /**
   * Waits for bytes and gives at most `most` of them; undefined when the peer has ended its side.
   */
  read(most?: number): Promise<Uint8Array | undefined>;
  /**
   * Takes a copy of `bytes`. Not a wait. What comes after the end, or when the connection is lost,
   * is dropped.
   */
  send(bytes: Uint8Array): void;
  /** Waits until at most `most` bytes are unsent. Rejects when the connection is lost. */
  drain(most: number): Promise<void>;
  /**
   * Takes a copy of `bytes` in the call, then waits while more than the high-water mark is on its
   * way.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends this side: the peer reads to the end, and may go on writing. */
  writeEof(): void;
  /** Ends both sides; what was written still arrives. A read that waits here comes to the end. */
  close(): void;
  /**
   * Waits until all has left and the connection is gone. A stream that is no connection rejects if
   * something did not go out, and no write has reported that.
   */
  waitClosed(): Promise<void>;
  /**
   * Ends both sides at once: operations of the peer fail with ECONNRESET, those that wait here with
   * ECONNABORTED.
   */
  abort(): void;
  /** What else is known of it: "socket", "cipher", ... */
  extra?(name: string): unknown;
  /**
   * Goes on under TLS, from the handshake on, which it waits for. Nothing may be unsent.
   * `takeAhead` gives what was read ahead of it, and is called when nothing can go wrong before.
   * Cancelled or failed, the connection is lost. May be absent.
   */
  startTls?(options: object, takeAhead?: () => Uint8Array): Promise<void>;
}

/** A port or a path on which connections are accepted. */
export interface Listener {
  /** Where it listens. */
  readonly address: Address;
  /** Waits for the next connection, first come, first served. */
  accept(): Promise<ByteStream>;
  /** Stops listening. Connections that were accepted stay. */
  close(): void;
}

/** How a connection is made; the simulated network takes no notice. */
export interface ConnectOptions {
  /** The address of this end; port 0 takes a free one. */
  readonly localAddress?: Partial<Address> | undefined;
  /**
   * Sends small pieces at once instead of collecting them (TCP_NODELAY). @default true, as in
   * asyncio
   */
  readonly noDelay?: boolean | undefined;
  /** Has the operating system ask silent peers whether they are alive. @default false */
  readonly keepAlive?: boolean | undefined;
}

/** Where and how to listen. */
export interface ListenOptions extends Omit<ConnectOptions, "localAddress"> {
  /** The address to listen on. @default every address of this machine */
  readonly host?: string | undefined;
  /** 0 takes a free one. @default 0 */
  readonly port?: number | undefined;
  /** Listens on a Unix socket instead. */
  readonly path?: string | undefined;
  /** False leaves the Unix socket's path in the file system. @default true */
  readonly cleanupSocket?: boolean | undefined;
  /**
   * Connections that the operating system keeps until they are accepted. @default that of the host,
   * 511 in Node
   */
  readonly backlog?: number | undefined;
  /** Takes no IPv4 connections on an IPv6 address. @default false */
  readonly ipv6Only?: boolean | undefined;
  /** Lets several processes listen on one port (SO_REUSEPORT). @default false */
  readonly reusePort?: boolean | undefined;
}

/** One datagram, as it came. */
export interface Datagram {
  /** What it carries. */
  readonly bytes: Uint8Array;
  /** Who sent it. */
  readonly from: Address;
}

/** A socket of a simulated host, as tests use it. */
export interface DatagramSocket {
  /** Its own address. */
  readonly address: Address;
  /** Sends `bytes` to the address `to`. They may get lost. */
  send(bytes: Uint8Array, to: Address): void;
  /** Waits for the next datagram. */
  receive(): Promise<Datagram>;
  /** Gives the port back. */
  close(): void;
}

/** What a datagram port is opened with. What is undefined is the host's to choose. */
export interface DatagramPortOptions {
  readonly local?: Partial<Address> | undefined;
  /** Datagrams go to this address, and come from it, alone. */
  readonly remote?: Address | undefined;
  /** IPv4 or IPv6. */
  readonly family: 4 | 6;
  readonly broadcast: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** Bytes that the operating system keeps for it. */
  readonly receiveBufferSize?: number | undefined;
  readonly sendBufferSize?: number | undefined;
}

/** Told of what happens at a port, whenever it happens. */
export interface DatagramReceiver {
  arrived(datagram: Datagram): void;
  /** Something that was sent could not be delivered, or nothing can be received. */
  failed(error: Error): void;
}

/** What a datagram endpoint is built on. */
export interface DatagramPort {
  readonly address: Address;
  /** True if it is outside the loop: virtual time holds still while it is waited for. */
  readonly isOutside: boolean;
  /**
   * Sends a copy. True if it was taken in the call; else `sent` is called when it is, or with the
   * error.
   */
  send(bytes: Uint8Array, to: Address | undefined, sent: (error?: Error) => void): boolean;
  /**
   * Nothing arrives any more; calls `closed` when it is gone. What `send` was not told of yet is
   * lost.
   */
  close(closed: () => void): void;
}

/** What connections, servers and datagrams stand on. A `SimulatedHost` is one. */
export interface Network {
  /** Connects to one address, as `lookup` gives it, or to the path of a Unix socket. */
  connect(to: Destination, options?: ConnectOptions): Promise<ByteStream>;
  /** Port 0 takes a free one. */
  listen(at: number | ListenOptions): Promise<Listener>;
  /** Opens a socket for datagrams; port 0 takes a free one. */
  bind(port: number): Promise<DatagramSocket>;
  /** Opens what `createDatagramEndpoint` stands on; `receiver` gets what comes. */
  openDatagramPort(options: DatagramPortOptions, receiver: DatagramReceiver): Promise<DatagramPort>;
  /**
   * The addresses of `hostname`, in the order in which to try them; a `family` of 4 or 6 asks for
   * those of one family.
   */
  lookup(hostname: string, family?: 0 | 4 | 6): Promise<readonly string[]>;
}

/**
 * The part of it that streams need. (No type of Node's here: declarations must not ask for them.)
 */
export type StreamNetwork = Pick<Network, "connect" | "listen" | "lookup">;

/** The network that the host under the running loop brings along; undefined: the real one. */
export function networkOfHost(): Network | undefined {
  return here().loop.host.network as Network | undefined; // what `Host` says it is
}

/** An error as the host makes it: code, syscall and address as Node spells them. */
export function hostError(code: string, syscall: string, address?: Address): Error {
  const where = address === undefined ? "" : ` ${describeAddress(address)}`;
  const details = { code, syscall, address: address?.host, port: address?.port };
  return Object.assign(new Error(`${syscall} ${code}${where}`), details);
}

export function describeAddress({ host, port, path }: Address): string {
  return path ?? (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
}

/**
 * Without the dot that says that a name is complete: it is no part of the name for TLS (RFC 6066,
 * section 3).
 */
export function withoutDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** The name of a host as names compare: without case (RFC 4343), and without that dot. */
export function comparableHost(host: string): string {
  return withoutDot(host).toLowerCase();
}

/** @throws TypeError unless `stream` has the methods of a ByteStream that everything needs. */
export function checkByteStream(api: string, stream: unknown): void {
  const { read, send, close } = Object(stream) as Partial<ByteStream>;
  for (const method of [read, send, close])
    if (typeof method !== "function") throw argumentError(api, "a ByteStream", stream);
}
