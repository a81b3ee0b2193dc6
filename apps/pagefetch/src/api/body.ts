/** Bodies of requests to the service: bounded, and text. */

import { CancelledError } from "asyncio-ts";
import { PageError } from "../contract/errors.ts";
import type { Hold } from "../contract/held.ts";

const MAX_BODY = 12 * 2 ** 20;

/** Waits for the whole body, and counts it. It refuses one that is longer than the limit. */
export async function textOf({ body }: Request, hold: Hold): Promise<string> {
  if (body === null) return "";
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
      size += piece.length;
      if (size > MAX_BODY) {
        throw new PageError("bad_request", `a request has ${MAX_BODY} bytes at most`, {
          limit: { name: "body", value: MAX_BODY },
        });
      }
      hold.add(piece.length);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof PageError || error instanceof CancelledError) throw error;
    // The client has left. This is no fault of the service, and nobody will read the answer.
    throw new PageError("bad_request", "the request has broken off");
  }
  return textIn(Buffer.concat(pieces));
}

export async function jsonBody(request: Request, hold: Hold): Promise<unknown> {
  try {
    return JSON.parse(await textOf(request, hold));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PageError("bad_request", "the body is no JSON");
  }
}

/** The text of `bytes`: what is no UTF-8 would reach the page as something else, and is refused. */
export function textIn(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const text = "the body is no UTF-8, and bodies are text";
    throw new PageError("bad_request", text, { parameter: "body" });
  }
}
