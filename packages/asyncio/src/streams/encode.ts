/**
 * Text as bytes. jsdom, as Jest has it, lacks the class for it, and the Node below has one that
 * makes arrays of its own.
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
