/** Bytes as text: which encodings there are, and what the end of a line is. */

import { rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { type Decoder, makeDecoder } from "./encode.ts";

/** What reads text instead of bytes. */
export interface TextOptions {
  /** A label that TextDecoder knows. @default "utf-8" */
  readonly encoding?: string | undefined;
}

export const TEXT: Names<TextOptions> = { encoding: "string" };

/** Asks a read for text. */
export interface EncodingOption {
  /**
   * A label that TextDecoder knows, of an encoding in which a newline is one byte: "utf-8",
   * "latin1".
   */
  readonly encoding: string;
}

/** Asks a read for bytes. */
export interface BytesOption {
  readonly encoding?: undefined;
}

/** @throws RangeError unless TextDecoder knows `encoding`. */
export function decoderFor(api: string, encoding: string, ignoreBOM = false): Decoder {
  try {
    return makeDecoder(encoding, ignoreBOM);
  } catch {
    throw rangeError(api, "`encoding` to be one that TextDecoder knows", encoding);
  }
}

/** Decodes a piece of a text that a separator has cut. */
export interface PieceDecoder {
  readonly decoder: Decoder;
  /** True if bytes below 0x80 are characters of ASCII, whatever comes before them. */
  readonly isAscii: boolean;
}

/** The first piece may begin with a byte order mark. */
export interface PieceDecoders {
  readonly first: PieceDecoder;
  readonly others: PieceDecoder;
}

/**
 * Labels whose decoders are kept: there are some 200, but white space round them counts, and they
 * may come from a peer.
 */
const MOST_KEPT = 50;

/**
 * Decoders of whole pieces keep nothing between two of them, so all readers share them. By their
 * labels.
 */
const kept: Map<string, PieceDecoders> = new Map();

/**
 * @throws RangeError for an encoding that is unknown, or in which the bytes of a newline may be
 * those of another character.
 */
export function pieceDecoders(api: string, encoding: string): PieceDecoders {
  const known = kept.get(encoding);
  if (known !== undefined) return known;
  const decoder = decoderFor(api, encoding);
  if (/^utf-16/.test(decoder.encoding))
    throw rangeError(api, "an encoding in which a newline is one byte", encoding);
  // "utf8" is "utf-8": what one of them has decoded serves the other.
  const decoders = kept.get(decoder.encoding) ?? both(api, decoder);
  if (kept.size < MOST_KEPT) kept.set(decoder.encoding, decoders).set(encoding, decoders);
  return decoders;
}

function both(api: string, first: Decoder): PieceDecoders {
  const { encoding } = first;
  const isAscii = /^(utf-8|windows-125\d|iso-8859-\d+)$/.test(encoding);
  const others = decoderFor(api, encoding, true);
  return { first: { decoder: first, isAscii }, others: { decoder: others, isAscii } };
}
