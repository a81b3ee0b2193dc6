/**
 * The decode chain: `content-encoding` undone, layer by layer, no faster than the result is read. A
 * limit on what crosses the wire is no limit, since 300 bytes of brotli hold 200 MB. So bytes are
 * counted behind each layer, and how many times more they are than what came in.
 */

import type { Transform } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib";
import { cancellable } from "asyncio-ts";
import { PageError } from "../contract/errors.ts";
import { type HeaderList, headersOf } from "../contract/headers.ts";
import { inRoot } from "../egress/wire.ts";
import type { Source } from "./http-line.ts";

/** A body that has to be closed when it is not read to its end. */
export interface Body extends Source {
  close(): void;
}

/** More layers than that are no mistake any more. */
const MOST_LAYERS = 2;
/** Above so many bytes a layer may give at most RATIO times what went in. */
const FREE = 2 ** 20;
const RATIO = 200;
const CHUNK = 64 * 1024;

/**
 * The names in `content-encoding`, the one that was applied last at the end. Empty if there is none.
 * @throws PageError `unsupported_content` for more than two, or an unknown one.
 */
export function encodingsOf(headers: HeaderList): readonly string[] {
  const names = headersOf(headers, "content-encoding")
    .join(",")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "" && name !== "identity");
  const odd = names.find((name) => !decoders.has(name));
  if (odd !== undefined)
    throw new PageError("unsupported_content", `the page is encoded by ${JSON.stringify(odd)}`);
  if (names.length > MOST_LAYERS)
    throw new PageError("unsupported_content", "the page is encoded more than twice", {
      limit: { name: "encodings", value: MOST_LAYERS },
    });
  return names;
}

/** The encodings that are understood, as `accept-encoding` says it. */
export const ACCEPTED = "gzip, deflate, br, zstd";

/** Undoes `encodings`; the result and each layer under it have at most `limit` bytes. */
export function decoded(from: Source, encodings: readonly string[], limit: number): Body {
  let body: Body = new Metered(from, limit, () => {});
  for (const name of encodings.toReversed()) {
    const layer = new Layer(body, name);
    body = new Metered(
      layer,
      limit,
      () => layer.close(),
      () => layer.taken,
    );
  }
  return body;
}

/** Counts what passes. */
class Metered implements Body {
  readonly #from: Source;
  readonly #limit: number;
  readonly #close: () => void;
  readonly #taken: (() => number) | undefined;
  #given = 0;

  constructor(from: Source, limit: number, close: () => void, taken?: () => number) {
    this.#from = from;
    this.#limit = limit;
    this.#close = close;
    this.#taken = taken;
  }

  async read(): Promise<Uint8Array | undefined> {
    const piece = await this.#from.read();
    if (piece === undefined) return undefined;
    this.#given += piece.length;
    if (this.#given > this.#limit)
      throw new PageError("too_large", `the page is larger than ${this.#limit} bytes`, {
        limit: { name: "maxBytes", value: this.#limit },
      });
    if (this.#taken !== undefined && this.#given > FREE && this.#given > RATIO * this.#taken())
      throw new PageError("too_large", `the page is ${RATIO} times as large as what was sent`, {
        limit: { name: "ratio", value: RATIO },
      });
    return piece;
  }

  close(): void {
    this.#close();
  }
}

type Make = (first: Uint8Array) => Transform;

const options = { chunkSize: CHUNK };
/** What is missing at the end of gzip is not missed: the framing of HTTP tells what breaks off. */
const lenient = { ...options, finishFlush: constants.Z_SYNC_FLUSH };
const gunzip: Make = () => createGunzip(lenient);
const decoders: ReadonlyMap<string, Make> = new Map<string, Make>([
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  // Two things go by that name: zlib's format, whose first byte says so, and what is inside of it.
  ["deflate", ([byte = 0]) => ((byte & 15) === 8 ? createInflate : createInflateRaw)(lenient)],
  [
    "br",
    () => createBrotliDecompress({ ...options, finishFlush: constants.BROTLI_OPERATION_FLUSH }),
  ],
  [
    "zstd",
    () => createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
  ],
]);

/** One encoding undone by node:zlib, which works on its own threads. */
class Layer implements Body {
  readonly #from: Body;
  readonly #name: string;
  #stream: Transform | undefined = undefined;
  /** True while a piece is being worked on. */
  #isBusy = false;
  #isEnded = false;
  #error: Error | undefined = undefined;
  #wake: () => void = () => {};
  /** Bytes that went in. */
  taken = 0;

  constructor(from: Body, name: string) {
    this.#from = from;
    this.#name = name;
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const piece: Uint8Array | null = this.#stream?.read() ?? null;
      if (piece !== null) return piece;
      if (this.#error !== undefined) throw this.#broken(this.#error);
      if (this.#isEnded) return undefined;
      if (!this.#isBusy) await this.#feed();
      else
        await cancellable(
          () =>
            new Promise<void>((resolve) => {
              this.#wake = resolve;
            }),
        );
    }
  }

  close(): void {
    this.#stream?.destroy();
    this.#from.close();
  }

  async #feed(): Promise<void> {
    const piece = await this.#from.read();
    if (piece === undefined && this.#stream === undefined) {
      this.#isEnded = true; // nothing at all is an empty page
      return;
    }
    const stream = this.#stream ?? this.#open(piece ?? new Uint8Array());
    this.#isBusy = true;
    if (piece === undefined) stream.end();
    else {
      this.taken += piece.length;
      stream.write(piece, () => {
        this.#isBusy = false;
        this.#wake();
      });
    }
  }

  #open(first: Uint8Array): Transform {
    const make = decoders.get(this.#name) ?? gunzip; // `encodingsOf` knows them all
    const stream = inRoot(() => make(first));
    this.#stream = stream;
    stream.on("readable", () => this.#wake());
    stream.on("end", () => {
      this.#isEnded = true;
      this.#wake();
    });
    stream.on("error", (error) => {
      this.#error = error;
      this.#wake();
    });
    return stream;
  }

  #broken(cause: Error): PageError {
    const message = `the page says that it is encoded by ${this.#name}, and it is not`;
    return new PageError("unsupported_content", message, {}, { cause });
  }
}
