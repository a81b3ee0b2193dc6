// A server that knows enough of Redis for the tests of a client, on whatever network it runs on.

import * as asyncio from "asyncio-ts";
import { isNetworkError } from "../command-line.ts";
import { readValue } from "./resp.ts";

/** Starts it, with data that outlive its connections. */
export class FakeRedis {
  readonly data: Map<string, string> = new Map();
  /** Commands that were executed, in order. */
  readonly log: string[] = [];
  readonly #subscribers: Map<string, Set<asyncio.StreamWriter>> = new Map();

  readonly serve: asyncio.ConnectionHandler = async (reader, writer) => {
    try {
      for (;;) {
        const [name = "", ...args] = ((await readValue(reader)) as string[]).map(String);
        this.log.push([name, ...args].join(" "));
        await this.#execute(name.toUpperCase(), args, writer);
      }
    } catch (error) {
      if (!(error instanceof asyncio.IncompleteReadError) && !isNetworkError(error)) throw error;
    } finally {
      for (const all of this.#subscribers.values()) all.delete(writer);
    }
  };

  async #execute(name: string, args: string[], writer: asyncio.StreamWriter): Promise<void> {
    const [key = "", value = ""] = args;
    switch (name) {
      case "HELLO":
        return await writer.write("%1\r\n$5\r\nproto\r\n:3\r\n");
      case "GET":
        return await writer.write(bulk(this.data.get(key)));
      case "SET":
        this.data.set(key, value);
        return await writer.write("+OK\r\n");
      case "INCR": {
        const sum = Number(this.data.get(key) ?? 0) + 1;
        if (Number.isNaN(sum)) return await writer.write("-ERR value is not an integer\r\n");
        this.data.set(key, String(sum));
        return await writer.write(`:${sum}\r\n`);
      }
      case "BLOCK": // answers after so many seconds
        await asyncio.sleep(Number(key));
        return await writer.write("+done\r\n");
      case "SUBSCRIBE":
        this.#subscribers.set(key, (this.#subscribers.get(key) ?? new Set()).add(writer));
        return await writer.write(push("subscribe", key, ":1\r\n"));
      case "UNSUBSCRIBE":
        this.#subscribers.get(key)?.delete(writer);
        return await writer.write(push("unsubscribe", key, ":0\r\n"));
      case "PUBLISH": {
        const all = [...(this.#subscribers.get(key) ?? [])];
        for (const one of all) one.write(push("message", key, bulk(value)));
        return await writer.write(`:${all.length}\r\n`);
      }
      default:
        return await writer.write(`-ERR unknown command '${name}'\r\n`);
    }
  }
}

function bulk(text: string | undefined): string {
  return text === undefined ? "_\r\n" : `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

function push(kind: string, channel: string, last: string): string {
  return `>3\r\n${bulk(kind)}${bulk(channel)}${last}`;
}
