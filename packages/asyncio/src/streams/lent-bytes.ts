/**
 * Memory from which bytes are written to a socket. A write has to take its bytes in the call, and a
 * socket mostly passes them on in that call, too: then the same memory serves the next write, and
 * nothing is allocated (bench: echo). What the host keeps is left to it.
 */

/** The longest write that is lent for. */
export const LENT = 65_536;

let memory: Uint8Array | undefined;
/** What lies before it the host has kept. */
let start = 0;
/** The part of it that was lent last. */
let lent: Uint8Array | undefined;

/** A copy of `bytes`, which has at most LENT of them. It is overwritten by the next call. */
export function lend(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (memory === undefined || start + length > memory.length) {
    memory = process.getBuiltinModule("node:buffer").Buffer.allocUnsafeSlow(LENT);
    start = 0;
    lent = undefined;
  }
  if (lent?.length !== length) lent = memory.subarray(start, start + length);
  lent.set(bytes);
  return lent;
}

/** The host has kept what `lend` gave last. */
export function keepLent(): void {
  start += lent?.length ?? 0;
  lent = undefined;
}
