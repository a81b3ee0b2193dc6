/** What Node's streams do that their interface does not say. */

import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

type BufferConstructor = { from(bytes: Uint8Array): Uint8Array };
let bufferClass: BufferConstructor | undefined;

function nodeBuffer(): BufferConstructor {
  bufferClass ??= process.getBuiltinModule("node:buffer").Buffer;
  return bufferClass;
}

/**
 * A copy out of the pool of Node, which is three times as fast as an array of its own for a small
 * one.
 */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return nodeBuffer().from(bytes);
}

let socketClass: typeof Socket | undefined;

/** Whether it is a socket of the host. Programs have streams of their own that look like one. */
export function isSocket(stream: object): boolean {
  if (!("setNoDelay" in stream)) return false;
  socketClass ??= process.getBuiltinModule("node:net").Socket;
  return stream instanceof socketClass;
}

/** Whether what is written to it goes to the host, and not to code that may keep it. */
export function writesToHost(stream: Writable): boolean {
  return isSocket(stream) && stream._write === socketClass?.prototype._write;
}

/** Only TCP connections can be reset; asking a pipe for it throws. */
function isTcp(stream: object): boolean {
  const { remoteFamily } = stream as { remoteFamily?: string };
  return remoteFamily === "IPv4" || remoteFamily === "IPv6";
}

/**
 * True while the host waits for the last bytes and the end to leave. A socket cannot be reset then:
 * the host says EINVAL, and forgets a handle that keeps the process alive.
 */
export function isShuttingDown(socket: Readable | Writable): boolean {
  const { writableEnded, writableFinished, writableLength } = socket as Writable; // it is a socket
  return writableEnded && !writableFinished && writableLength === 0;
}

interface Writing {
  readonly writeQueueSize?: number;
  readonly bytesWritten?: number;
  /** The same of the socket under TLS. */
  readonly _parent?: Writing | null;
}

/**
 * How many bytes TLS has written if it has more to write, and the socket under it has nothing to
 * do. If that number stays, the rest never leaves. Node forgets an error that comes while TLS
 * writes something by itself, such as a session ticket to a client that has just reset the
 * connection. The socket then seems to end in good order, and what is written to it waits forever.
 */
export function writtenUnderTls(socket: object): number | undefined {
  const { _handle: handle } = socket as { _handle?: Writing | null };
  const below = handle?._parent;
  if (!handle?.writeQueueSize || below?.writeQueueSize !== 0) return undefined;
  return below.bytesWritten;
}

/** What sockets have beyond other streams. */
interface Resettable {
  resetAndDestroy?(): void;
}

/** Ends it at once. The peer of a TCP connection gets a reset. */
export function resetOrDestroy(stream: (Readable | Writable) & Resettable): void {
  if (isTcp(stream) && !isShuttingDown(stream)) stream.resetAndDestroy?.();
  else stream.destroy();
}

/**
 * True if it was told not to emit "close" (`emitClose: false`), and does not do that by itself, as
 * sockets do.
 */
export function isSilent(stream: Readable | Writable): boolean {
  type States = Record<"_writableState" | "_readableState", { emitClose?: boolean } | undefined>;
  const { _writableState, _readableState } = stream as unknown as Partial<States>; // Node itself looks there
  return (_writableState ?? _readableState)?.emitClose === false && !isSocket(stream);
}

/** Calls `told` when a silent stream has gone, and has told its error. */
export function afterDestroy(stream: Readable | Writable, told: () => void): void {
  const { _destroy: destroy } = stream;
  stream._destroy = (error, callback) =>
    destroy.call(stream, error, (failure) => {
      callback(failure);
      process.nextTick(told);
    });
}

/**
 * Destroys a stream that no NodeStream has, and waits until it is gone. Rejects if it fails by
 * that.
 */
export function destroyed(stream: Readable | Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    if (stream.closed || (stream.destroyed && isSilent(stream))) resolve();
    else if (isSilent(stream)) afterDestroy(stream, resolve);
    else stream.once("close", resolve);
    stream.destroy();
  });
}
