/**
 * Bytes made of text, and of other bytes. jsdom, as Jest has it, lacks the class for text, and the
 * Node below has one that makes arrays of its own.
 */

interface Encoder {
  encode(text: string): Uint8Array;
}

let encoder: Encoder | undefined;

/** UTF-8. */
export function encodeText(text: string): Uint8Array {
  encoder ??= globalThis.TextEncoder === undefined ? foreignEncoder() : new TextEncoder();
  return encoder.encode(text);
}

function foreignEncoder(): Encoder {
  const { TextEncoder } = process.getBuiltinModule("node:util");
  const foreign = new TextEncoder();
  return { encode: (text) => new Uint8Array(foreign.encode(text)) };
}

/** All of them in one piece, in their order. */
export function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const chunk of chunks) {
    all.set(chunk, filled);
    filled += chunk.length;
  }
  return all;
}
