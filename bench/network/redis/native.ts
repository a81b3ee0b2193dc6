// A Redis-like server on bare node:net: what has come is kept as text until a command is complete.

import { createServer, type Socket } from "node:net";
import { serve } from "../service.ts";
import { Store } from "./commands.ts";

/** "*2\r\n$3\r\nGET\r\n$1\r\na\r\n": how many parts, and each with its length before it. */
class Parser {
  #text = "";
  #at = 0;

  add(chunk: string): void {
    this.#text = this.#text.slice(this.#at) + chunk;
    this.#at = 0;
  }

  /** The next command; undefined if it is not complete. */
  next(): string[] | undefined {
    const start = this.#at;
    const count = this.#number();
    if (count === undefined) return undefined;
    const parts: string[] = [];
    for (let part = 0; part < count; part++) {
      const length = this.#number();
      if (length === undefined || this.#at + length + 2 > this.#text.length) {
        this.#at = start;
        return undefined;
      }
      parts.push(this.#text.slice(this.#at, this.#at + length));
      this.#at += length + 2;
    }
    return parts;
  }

  /** The number behind the first byte of a line. */
  #number(): number | undefined {
    const end = this.#text.indexOf("\r\n", this.#at);
    if (end === -1) return undefined;
    const value = Number(this.#text.slice(this.#at + 1, end));
    this.#at = end + 2;
    return value;
  }
}

const store = new Store();
const open = new Set<Socket>();
const server = createServer((socket) => {
  open.add(socket);
  socket.setNoDelay(true);
  socket.setEncoding("latin1");
  const parser = new Parser();
  socket.on("data", (chunk: string) => {
    parser.add(chunk);
    let answers = "";
    for (let parts = parser.next(); parts !== undefined; parts = parser.next())
      answers += store.execute(parts);
    if (answers !== "") socket.write(answers, "latin1");
  });
  socket.on("error", () => {});
  socket.on("close", () => open.delete(socket));
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const close = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  serve(port, () => open.size, close);
});
