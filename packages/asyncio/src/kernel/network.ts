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

export interface DatagramSocket {
  readonly address: Address;
  send(bytes: Uint8Array, to: Address): void;
  receive(): Promise<{ readonly bytes: Uint8Array; readonly from: Address }>;
  close(): void;
}

export interface Network {
  connect(to: Address): Promise<ByteStream>;
  /** Port 0 takes a free one. */
  listen(port: number): Promise<Listener>;
  bind(port: number): Promise<DatagramSocket>;
  lookup(hostname: string): Promise<readonly string[]>;
}
