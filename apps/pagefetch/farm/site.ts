/** What a site of the farm is: a name, and how it answers. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** What a site is asked. */
export interface Ask {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The connection, for answers that are no HTTP. */
  readonly socket: Socket;
  readonly url: URL;
  /** The address that the request came from. */
  readonly client: string;
  readonly body: Buffer;
  /** How often this site was asked for this path and query, this time included. */
  readonly count: number;
  /** Aborts when the connection has gone, or the farm closes. */
  readonly gone: AbortSignal;
}

export type Site = (ask: Ask) => void | Promise<void>;

/** By name. A name that begins with `*.` stands for all below it. */
export type Sites = Readonly<Record<string, Site>>;

/** Answers with a page. */
export function html(ask: Ask, body: string | Buffer, status = 200, headers: object = {}): void {
  const bytes = Buffer.from(body);
  ask.response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-length": bytes.length,
    ...headers,
  });
  ask.response.end(ask.request.method === "HEAD" ? undefined : bytes);
}

/** The same site, which has no robots.txt. */
export function withoutRobots(site: Site): Site {
  return (ask) =>
    ask.url.pathname === "/robots.txt" ? html(ask, "<p>not here</p>", 404) : site(ask);
}

/** A page of about `bytes` bytes, with text in it that compresses as text does. */
export function pageOf(bytes: number): string {
  const head = "<!doctype html>\n<html><head><title>A page</title></head><body>\n";
  const tail = "</body></html>\n";
  let seed = 7;
  let text = head;
  while (text.length < bytes - tail.length) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    text += `<p>Line ${seed % 9973} of a page that is as long as it has to be.</p>\n`;
  }
  return `${text.slice(0, Math.max(bytes - tail.length, head.length))}${tail}`;
}

/** A number of the query, or what stands for it. */
export function numberOf(url: URL, name: string, otherwise: number): number {
  const text = url.searchParams.get(name);
  return text === null ? otherwise : Number(text);
}

/** Resolves after `seconds`, or when the connection has gone: false then. */
export function pause(seconds: number, gone: AbortSignal): Promise<boolean> {
  if (gone.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (isLeft: boolean) => () => {
      clearTimeout(timer);
      gone.removeEventListener("abort", left);
      resolve(isLeft);
    };
    const left = end(false);
    const timer = setTimeout(end(true), seconds * 1000);
    gone.addEventListener("abort", left);
  });
}
