/** Answers that are written while they come, and no faster than their client reads. */

import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { once } from "asyncio-ts/patterns";
import type { Hold } from "../contract/held.ts";
import type { LivePage } from "../fetch/page.ts";
import { contentType } from "./answers.ts";

/** How long a client may take nothing of what is there for it. */
export interface Patience {
  /** Its time runs from now on, and anew with all that it takes. When it is over, it is cut off. */
  begin(): void;
  /** There is nothing for it at the moment. */
  end(): void;
}

/**
 * For a client whose answer is held: one that reads nothing would hold the bytes for ever.
 * @param seconds - without progress
 */
export function patienceWith(outgoing: ServerResponse, seconds: number): Patience {
  outgoing.on("timeout", () => outgoing.destroy()); // of the socket, which looks at what is written
  return {
    begin: () => void outgoing.setTimeout(seconds * 1000),
    end: () => void outgoing.setTimeout(0),
  };
}

/**
 * Writes the results of a batch in their order, as they come, no faster than the client reads: only
 * those are in memory that are being fetched. `hold` counts `held` bytes of each until then.
 */
export async function sendResults(
  outgoing: ServerResponse,
  results: AsyncIterable<{ readonly text: string; readonly held: number }>,
  hold: Hold,
  patience: Patience,
): Promise<void> {
  outgoing.writeHead(200, { "content-type": "application/json" });
  let before = '{"results":[';
  for await (const { text, held } of results) {
    outgoing.write(before);
    if (!outgoing.write(text)) {
      patience.begin();
      await once(outgoing, "drain");
      patience.end();
    }
    hold.give(held);
    before = ",";
  }
  outgoing.end("]}");
}

/** Waits for what is sent. Once the head is out, only a connection that is cut tells of a failure. */
export async function sent(outgoing: ServerResponse, sending: Promise<void>): Promise<Response> {
  try {
    await sending;
  } catch (error) {
    if (!outgoing.headersSent) throw error;
    outgoing.destroy();
  }
  return RESPONSE_ALREADY_SENT;
}

/** Writes a page as it comes, no faster than the client reads. Waits for its end. */
export async function send(
  outgoing: ServerResponse,
  page: LivePage,
  status: number,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const type = contentType(page.head.headers);
  outgoing.writeHead(status, {
    ...headers,
    ...(type === undefined ? {} : { "content-type": type }),
  });
  outgoing.flushHeaders();
  for (let piece = await page.read(); piece !== undefined; piece = await page.read()) {
    if (!outgoing.write(piece)) await once(outgoing, "drain");
  }
  outgoing.end();
}
