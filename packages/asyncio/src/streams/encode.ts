/**
 * Bytes made of text, and of other bytes, and text of bytes. jsdom, as Jest has it, lacks the
 * classes for text, and the Node below has some whose arrays are of another realm.
 */

type Encoder = Pick<InstanceType<typeof TextEncoder>, "encode" | "encodeInto">;

let encoder: Encoder | undefined;

function encoderHere(): Encoder {
  encoder ??= globalThis.TextEncoder === undefined ? foreignEncoder() : new TextEncoder();
  return encoder;
}

/** UTF-8. */
export function encodeText(text: string): Uint8Array {
  return encoderHere().encode(text);
}

const nodeUtil = (): typeof import("node:util") => process.getBuiltinModule("node:util");

function foreignEncoder(): Encoder {
  const foreign = new (nodeUtil().TextEncoder)();
  return {
    encode: (text) => new Uint8Array(foreign.encode(text)),
    encodeInto: (text, into) => foreign.encodeInto(text, into),
  };
}

export type Decoder = InstanceType<typeof TextDecoder>;

/** @throws RangeError unless the host knows `encoding`. */
export function makeDecoder(encoding = "utf-8", ignoreBOM = false): Decoder {
  const { TextDecoder } = globalThis.TextDecoder === undefined ? nodeUtil() : globalThis;
  return new TextDecoder(encoding, { ignoreBOM });
}

/** Whether it is a Uint8Array, of this realm or another: under jsdom those of Node are. */
export function isBytes(value: unknown): value is Uint8Array {
  return (
    value instanceof Uint8Array || Object.prototype.toString.call(value) === "[object Uint8Array]"
  );
}

/** The longest text that is lent: a character takes three bytes at most. */
const LONGEST = 8192;
let memory: Uint8Array | undefined;
/** The part of it that was lent last. */
let lent: Uint8Array | undefined;

/**
 * The same, for who copies it in the call: the next call overwrites it. To allocate an array costs
 * more than to encode a short text (bench: Redis-like).
 */
export function lendText(text: string): Uint8Array {
  if (text.length > LONGEST) return encodeText(text);
  memory ??= new Uint8Array(3 * LONGEST);
  const { written } = encoderHere().encodeInto(text, memory);
  if (lent?.length !== written) lent = memory.subarray(0, written);
  return lent;
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
