/**
 * What streams, servers and datagrams need of the host's network. A loop in virtual time answers with one in memory
 * (testing/network.ts). All waits are operations: cancelled, they have done nothing, and no byte is lost.
 */

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Two-way bytes, as a TCP connection has them. */
export interface ByteStream {
  readonly localAddress: Address;
  readonly remoteAddress: Address;
  /** Waits for bytes and gives at most `most` of them; undefined when the peer has ended its side. */
  read(most?: number): Promise<Uint8Array | undefined>;
  /** Takes a copy of `bytes` in the call, then waits while more than the high-water mark is on its way. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends this side: the peer reads to the end, and may go on writing. */
  writeEof(): void;
  /** Ends both sides; what was written still arrives. */
  close(): void;
  /** Waits until the peer has read everything, or will never. Does not wait in a scope that was cancelled. */
  waitClosed(): Promise<void>;
  /** Ends both sides at once: operations of the peer fail with ECONNRESET. */
  abort(): void;
}

export interface Listener {
  readonly address: Address;
  /** Waits for the next connection, first come, first served. */
  accept(): Promise<ByteStream>;
  close(): void;
}

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Address;
}

/** A socket of a simulated host, as tests use it. */
export interface DatagramSocket {
  readonly address: Address;
  send(bytes: Uint8Array, to: Address): void;
  receive(): Promise<Datagram>;
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

/** What a datagram endpoint (net/datagram.ts) is built on. */
export interface DatagramPort {
  readonly address: Address;
  /** True iff it is outside the loop: virtual time holds still while it is waited for. */
  readonly isOutside: boolean;
  /** Sends a copy. True iff it was taken in the call; else `sent` is called when it is, or with the error. */
  send(bytes: Uint8Array, to: Address | undefined, sent: (error?: Error) => void): boolean;
  /** Nothing arrives any more; calls `closed` when it is gone. What `send` was not told of yet is lost. */
  close(closed: () => void): void;
}

export interface Network {
  connect(to: Address): Promise<ByteStream>;
  /** Port 0 takes a free one. */
  listen(port: number): Promise<Listener>;
  bind(port: number): Promise<DatagramSocket>;
  openDatagramPort(options: DatagramPortOptions, receiver: DatagramReceiver): Promise<DatagramPort>;
  lookup(hostname: string): Promise<readonly string[]>;
}
