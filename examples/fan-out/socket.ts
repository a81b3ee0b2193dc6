// A WebSocket as tasks want it. The protocol is that of the package `ws`, which knows nothing of
// tasks: it emits events and calls callbacks. What there is to learn from it:
//
// - The library's own bytes go under another library's protocol: `ws` gets a stream of Node that
//   `toNodeStream` has made of a connection. So the server is one of `startServer`, with its limits
//   and its end, and in tests there is a simulated network under a real WebSocket.
// - Events become a queue: what comes is put into it, and when there is enough in it the socket is
//   paused, so a peer that sends faster than it is read is slowed down.
// - A callback becomes a future: `send` waits until there is room. Cancelled, it has sent the
//   message all the same.
// - Whatever happens, `await using` ends it: with a good-bye where the peer answers in time, else
//   without.

import type { IncomingMessage } from "node:http";
import * as asyncio from "asyncio-ts";
import { type RawData, type WebSocket, WebSocketServer } from "ws";

export interface AcceptOptions {
  /** Bytes that a message may have. A client that sends more is let go. */
  readonly maxBytes: number;
  /** Seconds in which a client has to say what it wants. */
  readonly requestSeconds: number;
}

/** Messages that wait to be read, above which nothing more is asked of the peer. */
const MOST_WAITING = 16;
/** Seconds that a peer has to answer a good-bye. */
const GOODBYE = 1;
/** Bytes that the head of a request may have. */
const LONGEST_HEAD = 8192;

export const GOING_AWAY = 1001;

export class Socket implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #messages: asyncio.Queue<string> = new asyncio.Queue(0, { name: "messages" });
  readonly #closed: asyncio.Event = new asyncio.Event();
  #isAlive = true;

  /** Of a socket that is open. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: RawData) => {
      this.#isAlive = true;
      this.#messages.putNowait(data.toString());
      if (this.#messages.qsize() >= MOST_WAITING) socket.pause();
    });
    socket.on("pong", () => {
      this.#isAlive = true;
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      this.#messages.shutdown();
      this.#closed.set();
    });
  }

  /** Messages, until either side closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const message of this.#messages) {
      if (this.#socket.isPaused && this.#messages.qsize() < MOST_WAITING) this.#socket.resume();
      yield message;
    }
  }

  /**
   * Takes the message in the call, and waits until there is room for another. False: the socket is
   * closed.
   */
  async send(text: string): Promise<boolean> {
    const sent = new asyncio.Future<boolean>();
    this.#socket.send(text, (error) => {
      if (!sent.done()) sent.setResult(error === undefined || error === null);
    });
    return await sent;
  }

  /**
   * Asks every so many seconds whether the peer is there, and lets go of one that has said nothing
   * since the last time.
   */
  async keepAlive(seconds: number): Promise<void> {
    for (;;) {
      await asyncio.sleep(seconds);
      if (!this.#isAlive) return this.#socket.terminate();
      this.#isAlive = false;
      this.#socket.ping();
    }
  }

  /** Says good-bye, and why. Not a wait; messages that were sent before come first. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Waits until the peer has answered the good-bye, but not for long. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#socket.resume(); // the answer comes behind what was not read
    const isClosed = await asyncio.cleanup(GOODBYE, () => this.#closed.wait());
    if (isClosed === undefined) this.#socket.terminate();
  }
}

/**
 * Reads the request of a client, and makes a socket of its connection. Undefined if it wants
 * something else, or nothing: then it has been answered as HTTP does.
 */
export async function acceptSocket(
  reader: asyncio.StreamReader,
  writer: asyncio.StreamWriter,
  { maxBytes, requestSeconds }: AcceptOptions,
): Promise<{ readonly socket: Socket; readonly path: string } | undefined> {
  const head = await readHead(reader, requestSeconds);
  const request = head === undefined ? undefined : requestOf(head);
  if (request === undefined) {
    void writer.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return undefined;
  }
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false, // its memory is what the sender says
    maxPayload: maxBytes,
  });
  let socket: Socket | undefined;
  const stream = asyncio.toNodeStream({ reader, writer });
  server.handleUpgrade(request, stream, Buffer.alloc(0), (opened) => {
    socket = new Socket(opened);
  });
  return socket === undefined ? undefined : { socket, path: request.url ?? "/" };
}

async function readHead(
  reader: asyncio.StreamReader,
  seconds: number,
): Promise<string | undefined> {
  try {
    const head = await asyncio.timeout(seconds, () =>
      reader.readUntil("\r\n\r\n", { limit: LONGEST_HEAD }),
    );
    return new TextDecoder("latin1").decode(head);
  } catch (error) {
    const isTheirs =
      error instanceof asyncio.TimeoutError ||
      error instanceof asyncio.IncompleteReadError ||
      error instanceof asyncio.LimitOverrunError;
    if (!isTheirs) throw error;
    return undefined;
  }
}

/** A request as `ws` looks at it. */
function requestOf(head: string): IncomingMessage | undefined {
  const [first = "", ...lines] = head.trimEnd().split("\r\n");
  const [, method, url] = /^([A-Z]+) (\/\S*) HTTP\/1\.1$/.exec(first) ?? [];
  if (method === undefined || url === undefined) return undefined;
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = /^([\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    headers[name.toLowerCase()] = value;
  }
  return { method, url, headers } as unknown as IncomingMessage; // `ws` looks at no more of it
}
