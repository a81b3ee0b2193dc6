// One request: the only place where bytes come in.
//
// It shows how foreign work joins asyncio. `cancellable` hands undici an AbortSignal and stops
// waiting at once when the scope around it is cancelled; `timeout` is such a scope. So a page that
// hangs, one that drips a byte now and then, and Ctrl-C all take the same way out, and no request
// outlives the line that asked for it.

import * as asyncio from "asyncio-ts";
import { type Agent, type Dispatcher, request } from "undici";
import { Failure, failureOfStatus } from "./failures.ts";
import type { Report } from "./report.ts";

export interface Client {
  readonly agent: Agent;
  /** Seconds that one request may take, from connecting to the last byte of the body. */
  readonly requestSeconds: number;
  readonly report: Report;
}

export type Document =
  | { readonly kind: "text"; readonly text: string; readonly bytes: number }
  | { readonly kind: "redirect"; readonly location: string }
  /** Something that the crawler does not read, an image for example. */
  | { readonly kind: "other"; readonly contentType: string };

export type Loaded = Document & { readonly seconds: number };

export const userAgent = "asyncio-ts-crawl/1.0";

const mostBytes = 2 * 1024 * 1024;

/**
 * Loads one address, without following redirects; the body only if its content type is wanted.
 *
 * @throws {asyncio.TimeoutError} if it takes longer than `client.requestSeconds`.
 * @throws {Failure} for an error status or a body that is too large; else what undici throws.
 */
export async function loadDocument(url: URL, client: Client, wanted: RegExp): Promise<Loaded> {
  using measured = client.report.beginRequest();
  const document = await asyncio.timeout(client.requestSeconds, () =>
    asyncio.cancellable((signal) => exchange(url, client.agent, wanted, signal)),
  );
  return { ...document, seconds: measured.seconds() };
}

async function exchange(
  url: URL,
  agent: Agent,
  wanted: RegExp,
  signal: AbortSignal,
): Promise<Document> {
  try {
    const headers = { "user-agent": userAgent, accept: "text/html,text/plain;q=0.5" };
    const response = await request(url, { dispatcher: agent, signal, headers });
    return await readResponse(response, wanted);
  } catch (error) {
    // A request that is aborted while it still connects goes on to fail in some other way, when the
    // agent is destroyed for example: then, too, the abort is the reason.
    signal.throwIfAborted();
    throw error;
  }
}

async function readResponse(response: Dispatcher.ResponseData, wanted: RegExp): Promise<Document> {
  const status = response.statusCode;
  const contentType = headerOf(response, "content-type") ?? "";
  const location = headerOf(response, "location");
  if (status === 200 && wanted.test(contentType)) {
    const bytes = await readBody(response.body);
    return { kind: "text", text: decode(bytes, contentType), bytes: bytes.length };
  }
  // The rest of an answer has to be read, or its connection cannot be used again.
  await response.body.dump();
  if (status >= 400) throw failureOfStatus(status, headerOf(response, "retry-after"));
  if (status >= 300 && location !== undefined) return { kind: "redirect", location };
  return { kind: "other", contentType };
}

async function readBody(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    // Leaving the loop closes the connection: what is still to come is never read.
    if (size > mostBytes) throw new Failure("too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Pages say their character set in the content type, or are UTF-8; a wrong claim is no reason to
 * fail.
 */
function decode(bytes: Buffer, contentType: string): string {
  const label = /charset="?([^\s;"]+)/i.exec(contentType)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(label).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
