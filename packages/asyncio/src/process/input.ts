/** What is fed to the standard input of a process. */

import { argumentError } from "../kernel/errors.ts";
import type { StreamWriter } from "../streams/writer.ts";

/** Text goes as UTF-8; pieces of an iterable as they come, at the pace of the process. */
export type ProcessInput =
  | string
  | Uint8Array
  | AsyncIterable<string | Uint8Array>
  | Iterable<string | Uint8Array>;

/** @throws TypeError unless `input` is one, or undefined. */
export function checkInput(api: string, input: unknown): asserts input is ProcessInput | undefined {
  const isIterable =
    typeof input === "object" &&
    input !== null &&
    (Symbol.asyncIterator in input || Symbol.iterator in input);
  if (input === undefined || typeof input === "string" || isIterable) return;
  throw argumentError(api, "the input to be text, bytes, or an iterable of them", input);
}

/** Writes all of `input` and closes. That the process does not read it all is no error (S153); that `input` fails is. */
export async function feed(stdin: StreamWriter, input: ProcessInput | undefined): Promise<void> {
  if (input !== undefined) {
    for await (const piece of piecesOf(input)) if (!(await isTaken(stdin, piece))) break;
  }
  stdin.close();
}

function piecesOf(
  input: ProcessInput,
): AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array> {
  return typeof input === "string" || input instanceof Uint8Array ? [input] : input;
}

/** Codes by which a host says that nobody reads any more. */
const GONE = ["EPIPE", "ECONNRESET", "ECONNABORTED", "EOF", "ERR_STREAM_DESTROYED"];

async function isTaken(stdin: StreamWriter, piece: string | Uint8Array): Promise<boolean> {
  try {
    await stdin.write(piece);
    return true;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (typeof code === "string" && GONE.includes(code)) return false;
    throw error;
  }
}
