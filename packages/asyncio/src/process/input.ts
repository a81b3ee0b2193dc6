/** What is fed to the standard input of a process. */

import { argumentError } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import { here, recognised } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import { isBytes } from "../streams/encode.ts";
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

/**
 * Writes all of `input` and closes the stream. It is no error if the process does not read all of
 * it. It is an error if `input` fails.
 */
export async function feed(stdin: StreamWriter, input: ProcessInput | undefined): Promise<void> {
  if (typeof input === "string" || isBytes(input)) await isTaken(stdin, input);
  else if (input !== undefined) await feedPieces(stdin, input);
  stdin.close();
}

type Piece = string | Uint8Array;

/**
 * A `for await` that can be cancelled while the iterable sits in a foreign await. A process that
 * has ended, or is to be ended, does not wait for a Readable that gives nothing.
 */
async function feedPieces(
  stdin: StreamWriter,
  input: AsyncIterable<Piece> | Iterable<Piece>,
): Promise<void> {
  const iterator = iteratorOf(input);
  /** True if it was asked for a piece, and has not given one. */
  let isAsked = false;
  try {
    for (;;) {
      const stop = here().interruption(SUBJECT);
      if (stop !== undefined) await stop;
      isAsked = true;
      const { done, value } = await answer(iterator.next());
      const piece = isThenable(value) ? await answer(value as PromiseLike<Piece>) : value;
      isAsked = false;
      if (done === true) return;
      if (!(await isTaken(stdin, piece))) break;
    }
  } catch (error) {
    const left = leave(iterator);
    if (!isAsked) await answer(left).catch(ignore);
    // What answers no `next` is not waited for. Node's streams would answer `return` only after
    // that `next`.
    else if ("destroy" in input && typeof input.destroy === "function") input.destroy();
    throw error;
  }
  await answer(leave(iterator));
}

function iteratorOf(
  input: AsyncIterable<Piece> | Iterable<Piece>,
): AsyncIterator<Piece> | Iterator<Piece> {
  return Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
}

async function leave(iterator: AsyncIterator<Piece> | Iterator<Piece>): Promise<void> {
  await iterator.return?.();
}

const SUBJECT = "the input of a process";
/**
 * Waits for what an iterable answers. Cancelled, it stops waiting at once if the iterable sits in a
 * foreign await; one that waits in an operation of ours is cancelled itself, and then it ends in
 * its own time, until its grace period is over.
 */
function answer<T>(work: PromiseLike<T> | T): Promise<T> {
  if (!isThenable(work)) return Promise.resolve(work);
  const scope = here();
  const wait = park<T>(scope, SUBJECT, (_wait, cancellation) => {
    const hears = cancellation.scope.cancelState.undelivered > 0;
    return !hears && scope.parkedWaits(2).length < 2; // this wait is the one
  });
  wait.isForeign = true;
  work.then(
    (value) => void wait.resume(value),
    // An iterable may put a CancelledError of ours into an error of its own.
    (error) => void wait.fail(recognised(error, scope)),
  );
  return wait.promise;
}

/** Codes by which a host says that the reading end is closed. */
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
