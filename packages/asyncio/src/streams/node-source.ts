/** What a NodeStream is made of, and what only its maker knows. */

import type { Readable, Writable } from "node:stream";
import { type Address, hostError } from "./network.ts";

/** Where a NodeStream gets its bytes from. Its functions are called on demand. */
export interface NodeStreamSource {
  readonly readable?: Readable | undefined;
  /** May be the same stream as `readable`. */
  readonly writable?: Writable | undefined;
  readonly remoteAddress?: Address | undefined;
  /** @default 65,536 */
  readonly highWaterMark?: number | undefined;
  /**
   * True if it is a stream of the program's own, and no connection. A task of the same loop may
   * feed it, so a wait for it holds virtual time only as far as the host tells that something is
   * open. And when it fails after it was closed (a file's disk is full), `waitClosed` says so.
   * @default false
   */
  readonly isForeign?: boolean | undefined;
  /**
   * True if it outlives its stream here, as the standard output does: closed, that lets go of it.
   * @default false
   */
  readonly isKept?: boolean | undefined;
  /** True if it is a socket that no other code reads. @default false */
  readonly isSocketOfOurs?: boolean | undefined;
  /** True if nothing empty may be written to it. @default false */
  readonly refusesEmpty?: boolean | undefined;
  /** What reports call it: "connection to example.org:80". */
  describe(): string;
  localAddress?(): Address;
  /** What `extra` knows. */
  extra?(name: string): unknown;
  /** Ends both sides at once, where that takes more than the streams offer. */
  reset?(): void;
  /**
   * Calls `destroy` when the peer need not be waited for any more, after all that was written has
   * left. @default at once
   */
  linger?(destroy: () => void): void;
  /** Finds better words for an error of the host. */
  explain?(error: Error): Error;
  /**
   * Begins TLS on `readable`, and calls `attach` with what to go on with in the moment in which the
   * handshake is done. Cancelled or failed, the socket is destroyed.
   */
  startTls?(options: object, attach: (source: NodeStreamSource) => void): Promise<void>;
}

/** Why streams are lost that other code has destroyed, as a child that ends leaves its stdin. */
export function destroyedElsewhere({ readable, remoteAddress }: NodeStreamSource): Error {
  const isPipe = readable === undefined;
  return isPipe ? hostError("EPIPE", "write") : hostError("ECONNABORTED", "read", remoteAddress);
}
