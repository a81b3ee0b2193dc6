/** What tunnels need of a socket before HTTP begins: so many bytes, or bytes up to an end. */

import type { Duplex } from "node:stream";
import { interruption, park } from "asyncio-ts/lowlevel";

/** The other side has ended, or has sent more than it should. */
export class TunnelError extends Error {}

/** Waits until `socket` has something to read. Cancelled, it has read nothing. */
function waitReadable(socket: Duplex): Promise<void> {
  const stop = interruption("an answer of a proxy");
  if (stop !== undefined) return stop;
  const wait = park<void>("an answer of a proxy", () => {
    release();
    return true;
  });
  const ready = (): void => {
    release();
    wait.resume(undefined);
  };
  const failed = (error: Error): void => {
    release();
    wait.fail(error);
  };
  const closed = (): void => failed(new TunnelError("the connection was closed"));
  const release = (): void => {
    socket.off("readable", ready);
    socket.off("error", failed);
    socket.off("end", closed);
    socket.off("close", closed);
  };
  socket.on("readable", ready);
  socket.on("error", failed);
  socket.on("end", closed);
  socket.on("close", closed);
  return wait.promise;
}

/**
 * Reads until `lengthOf` says how long the message is, and gives it. Bytes behind it stay in the
 * socket.
 * @throws TunnelError if the socket ends before, or more than `limit` bytes do not make a message.
 */
export async function readMessage(
  socket: Duplex,
  limit: number,
  lengthOf: (bytes: Buffer) => number | undefined,
): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk: Buffer<ArrayBuffer> | null = socket.read();
    if (chunk === null) {
      if (socket.destroyed || socket.readableEnded)
        throw new TunnelError("the connection was closed");
      await waitReadable(socket);
      continue;
    }
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const length = lengthOf(bytes);
    if ((length ?? bytes.length) > limit) throw new TunnelError("the answer is too long");
    if (length !== undefined && length <= bytes.length) {
      const rest = bytes.subarray(length);
      if (rest.length > 0) socket.unshift(rest);
      return bytes.subarray(0, length);
    }
  }
}
