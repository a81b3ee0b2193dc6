/** Streams in memory. The test chooses where their reads cut the bytes that have arrived. */

import { argumentError, checkOptions, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { type Cutter, checkNames, streamPair } from "../streams/memory-stream.ts";
import type { ByteStream } from "../streams/network.ts";
import { waterMarks } from "../streams/writer.ts";
import { drawer } from "./random.ts";

/** How reads cut what has arrived: as a whole, byte by byte, or anywhere. */
export type ChunkPolicy = "whole" | "bytes" | "random";

/** What `memoryStreamPair` takes. */
export interface MemoryStreamOptions {
  /** Bytes on their way above which `write` waits. @default 65,536 */
  readonly highWaterMark?: number | undefined;
  /** Where reads cut; `explore` tries other places all the same. @default "whole" */
  readonly chunks?: ChunkPolicy | undefined;
  /** Draws the cuts of "random". @default 0 */
  readonly seed?: number | undefined;
  /** What reports call the two ends. @default ["a", "b"] */
  readonly names?: readonly [string, string] | undefined;
}

const KNOWN: Names<MemoryStreamOptions> = { highWaterMark: 1, chunks: 1, seed: 1, names: 1 };

const DEFAULT_HIGH_WATER_MARK = 65_536;

/** @throws TypeError or RangeError in the name of `api`. */
export function checkCuts(api: string, options: Omit<MemoryStreamOptions, "names">): void {
  const { chunks = "whole", seed = 0 } = options;
  if (!["whole", "bytes", "random"].includes(chunks))
    throw argumentError(api, '`chunks` to be "whole", "bytes" or "random"', chunks);
  if (!Number.isSafeInteger(seed)) throw rangeError(api, "`seed` to be an integer", seed);
  waterMarks(api, options, DEFAULT_HIGH_WATER_MARK);
}

export function cutterFor({ chunks = "whole", seed = 0 }: MemoryStreamOptions): Cutter {
  if (chunks === "whole") return (available) => available;
  if (chunks === "bytes") return () => 1;
  const draw = drawer(seed);
  return (available) => 1 + draw(available);
}

/**
 * Makes the two ends of one connection in memory. Bytes that are written at one end can be read at
 * the other at once. `write` waits while too many bytes are unread. In `explore` each schedule cuts
 * reads in other places. A test fails if it leaves an end open.
 *
 * @example
 * await testing.runTest(async () => {
 *   const [client, server] = testing.memoryStreamPair({ chunks: "bytes" });
 *   await client.write(new TextEncoder().encode("hi"));
 *   assert.deepEqual(await server.read(), new TextEncoder().encode("h"));
 *   client.close();
 *   server.close();
 * });
 */
export function memoryStreamPair(options: MemoryStreamOptions = {}): [ByteStream, ByteStream] {
  const api = "`memoryStreamPair`";
  checkOptions(api, options, KNOWN);
  checkCuts(api, options);
  const { highWaterMark = DEFAULT_HIGH_WATER_MARK, names = ["a", "b"] } = options;
  checkNames(api, names);
  return streamPair({ highWaterMark, names, makeCutter: () => cutterFor(options) });
}
