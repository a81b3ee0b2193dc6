/**
 * HTTP/1.1 on one connection that was dialled before. undici's `Client` parses; it gets the socket,
 * and cannot connect by itself. One exchange at a time.
 *
 * Whoever cancels a wait here has lost the connection: it is destroyed in the call, since the rest
 * of the answer would be in the way of the next request.
 */

import { interruption, park, refuse, type Wait } from "asyncio-ts/lowlevel";
import { Client, type Dispatcher } from "undici";
import { PageError } from "../contract/errors.ts";
import type { HeaderList } from "../contract/headers.ts";
import type { Line } from "../egress/egress.ts";
import { inRoot } from "../egress/wire.ts";

/** A request as it goes out. */
export interface Outgoing {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** With `host`. */
  readonly headers: HeaderList;
  readonly body: Uint8Array | undefined;
}

/** The head of an answer. */
export interface IncomingHead {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeaderList;
}

/** Bytes that come one piece after the other. */
export interface Source {
  /** Waits for the next piece; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
}

/** All header fields of an answer together. */
const HEADERS_LIMIT = 64 * 1024;
/** Bytes of a body that are taken before they are read. */
const AHEAD = 64 * 1024;
/** undici's own times are turned off: deadlines belong to the scopes around the call. */
const NEVER = 2 ** 31 - 1;

export class HttpLine {
  readonly line: Line;
  readonly #client: Client;
  readonly #nudge: (() => void) | undefined;
  readonly #keeps: boolean;
  #exchange: Exchange | undefined = undefined;
  /** How many requests it has served. */
  uses = 0;

  /** `keeps`: whether the connection is to serve more than one request. */
  constructor(line: Line, nudge: (() => void) | undefined, keeps: boolean) {
    this.line = line;
    this.#nudge = nudge;
    this.#keeps = keeps;
    let isTaken = false;
    this.#client = inRoot(
      () =>
        new Client("http://line.invalid", {
          // Not in the call: undici would miss it.
          connect: (_options, done) =>
            queueMicrotask(() => {
              if (isTaken) return done(new Error("the connection was lost"), null);
              isTaken = true;
              // It uses what every Duplex has, and what net.Socket adds if that is there.
              done(null, line.socket as Parameters<typeof done>[1] & object);
            }),
          allowH2: false,
          pipelining: 1,
          headersTimeout: 0,
          bodyTimeout: 0,
          keepAliveTimeout: NEVER,
          keepAliveMaxTimeout: NEVER,
          maxHeaderSize: HEADERS_LIMIT,
        }),
    );
  }

  /** True if the last exchange is over and the connection can serve another one. */
  get isFree(): boolean {
    const { socket } = this.line;
    return !socket.destroyed && socket.readable && this.#exchange?.isOver !== false;
  }

  /** Bytes that have crossed the wire so far, both ways. */
  get bytes(): { readonly sent: number; readonly received: number } {
    const { bytesRead, bytesWritten } = this.line.raw;
    return { sent: bytesWritten, received: bytesRead };
  }

  /**
   * Sends a request and waits for the head of the answer; its body is then read by `read`.
   * Cancelled, the connection is destroyed.
   * @throws PageError `reset`, `too_large`.
   */
  send(request: Outgoing): Promise<IncomingHead> {
    const subject = "the head of an answer";
    const stop = interruption(subject);
    if (stop !== undefined) return stop;
    const wait = park<IncomingHead>(subject, () => {
      this.destroy();
      return true;
    });
    const exchange = new Exchange(wait);
    this.#exchange = exchange;
    this.uses++;
    const { method, path, body } = request;
    const options: Dispatcher.DispatchOptions = {
      method: method as Dispatcher.HttpMethod, // any token
      path,
      headers: request.headers.flat(),
      body: body ?? null,
      reset: !this.#keeps,
    };
    inRoot(() => this.#client.dispatch(options, exchange));
    this.#nudge?.();
    return wait.promise;
  }

  /**
   * Waits for the next piece of the body; undefined at its end. Cancelled, the connection is
   * destroyed.
   * @throws PageError `reset` if the body breaks off.
   */
  read(): Promise<Uint8Array | undefined> {
    const exchange = this.#exchange;
    if (exchange === undefined) return refuse("a body", new Error("`read` comes after `send`"));
    return exchange.read(() => this.destroy());
  }

  /** Ends the connection in the call. */
  destroy(): void {
    this.line.socket.destroy();
    this.line.raw.destroy();
    void inRoot(() => this.#client.destroy());
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  #head: Wait<IncomingHead> | undefined;
  #controller: Dispatcher.DispatchController | undefined = undefined;
  readonly #pieces: Uint8Array[] = [];
  #size = 0;
  #reader: Wait<Uint8Array | undefined> | undefined = undefined;
  #error: PageError | undefined = undefined;
  isOver = false;

  constructor(head: Wait<IncomingHead>) {
    this.#head = head;
  }

  read(destroy: () => void): Promise<Uint8Array | undefined> {
    const subject = "the next piece of a body";
    const stop = interruption(subject);
    if (stop !== undefined) {
      destroy();
      return stop;
    }
    const wait = park<Uint8Array | undefined>(subject, () => {
      destroy();
      return true;
    });
    this.#reader = wait;
    this.#serve();
    const controller = this.#controller;
    if (controller?.paused === true && this.#size < AHEAD / 2) inRoot(() => controller.resume());
    return wait.promise;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: object,
    statusText = "",
  ): void {
    if (status < 200) return; // more is to come
    const headers = headerList(controller);
    const head = this.#head;
    this.#head = undefined;
    head?.resume({ status, statusText, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#size += piece.length;
    this.#serve();
    if (this.#size >= AHEAD) controller.pause();
  }

  onResponseEnd(): void {
    this.isOver = true;
    this.#serve();
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#fail(failureOf(error));
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController): void {
    const error = new PageError("reset", "the host changes to a protocol that is not HTTP");
    controller.abort(error);
    this.#fail(error);
  }

  #fail(error: PageError): void {
    if (this.#error !== undefined || this.isOver) return;
    this.#error = error;
    this.#head?.fail(error);
    this.#head = undefined;
    this.#serve();
  }

  #serve(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const piece = this.#pieces[0];
    if (piece !== undefined) {
      this.#pieces.shift();
      this.#size -= piece.length;
      reader.resume(piece);
    } else if (this.#error !== undefined) reader.fail(this.#error);
    else if (this.isOver) reader.resume(undefined);
    else return;
    this.#reader = undefined;
  }
}

/** In the order of the wire, names in lower case, values as bytes of Latin-1. */
function headerList({ rawHeaders }: Dispatcher.DispatchController): HeaderList {
  const list: [string, string][] = [];
  const raw = (rawHeaders ?? []) as readonly (Buffer | string)[]; // a flat list
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name = "", value = ""] = [raw[index], raw[index + 1]];
    list.push([name.toString("latin1").toLowerCase(), value.toString("latin1")]);
  }
  return list;
}

function failureOf(cause: Error): PageError {
  const { code = "" } = cause as { readonly code?: string };
  if (code === "UND_ERR_HEADERS_OVERFLOW")
    return new PageError(
      "too_large",
      `the headers of the answer are larger than ${HEADERS_LIMIT}`,
      {
        limit: { name: "headerBytes", value: HEADERS_LIMIT },
      },
    );
  const isHttp = code.startsWith("HPE_") || code.startsWith("UND_ERR_RES");
  const why = isHttp ? "the host has sent what is no HTTP" : "the connection was lost";
  // Not as its cause: errors of sockets know the address of the other side.
  return new PageError("reset", code === "" ? why : `${why} (${code})`);
}
