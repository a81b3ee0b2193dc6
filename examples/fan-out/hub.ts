// What is said on a topic goes to all its listeners. What there is to learn from it:
//
// - A slow listener does not hold the others up. What it has not read yet is a queue with a limit;
//   when that is full, the oldest message gives way to the newest, and the listener is told how
//   many it has missed. (The chat, where each word counts, drops the member instead.)
// - Three tasks for each connection, in one group: one hears, one tells, one asks whether the peer
//   is still there. A peer that has lost its network never closes.
// - The end of the server is the end of each group. Then there is time for a good-bye, but not for
//   ever.

import * as asyncio from "asyncio-ts";
import { isNetworkError } from "../command-line.ts";
import { type AcceptOptions, acceptSocket, GOING_AWAY, type Socket } from "./socket.ts";

export interface HubOptions extends AcceptOptions {
  /** Messages that wait for one listener. */
  readonly outbox: number;
  /**
   * Seconds between asking peers whether they are there; one that has not answered by the next time
   * is gone.
   */
  readonly pingSeconds: number;
}

class Listener {
  readonly #outbox: asyncio.Queue<string>;
  #missed = 0;

  constructor(outbox: number) {
    this.#outbox = new asyncio.Queue(outbox, { name: "outbox" });
  }

  /** Never waits. */
  tell(message: string): void {
    if (this.#outbox.full()) {
      this.#outbox.getNowait();
      this.#missed++;
    }
    this.#outbox.putNowait(message);
  }

  /** Sends what it is told, at the pace at which the peer reads, until the socket is closed. */
  async deliver(socket: Socket): Promise<void> {
    for await (const message of this.#outbox) {
      const missed = this.#missed;
      this.#missed = 0;
      if (missed > 0 && !(await socket.send(`{"missed":${missed}}`))) return;
      if (!(await socket.send(message))) return;
    }
  }
}

export class Hub {
  readonly #options: HubOptions;
  readonly #topics: Map<string, Set<Listener>> = new Map();

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /** How many listen to a topic. */
  listeners(topic: string): number {
    return this.#topics.get(topic)?.size ?? 0;
  }

  /** Tells all listeners of the topic, except `speaker`. Not a wait. */
  publish(topic: string, message: string, speaker?: Listener): void {
    for (const listener of this.#topics.get(topic) ?? [])
      if (listener !== speaker) listener.tell(message);
  }

  /** Serves one connection; for `startServer`. */
  readonly serve: asyncio.ConnectionHandler = async (reader, writer) => {
    try {
      const accepted = await acceptSocket(reader, writer, this.#options);
      if (accepted === undefined) return;
      await using socket = accepted.socket;
      await this.#converse(accepted.path, socket);
    } catch (error) {
      if (!isNetworkError(error)) throw error; // a listener that vanishes has left
    }
  };

  async #converse(topic: string, socket: Socket): Promise<void> {
    const listener = new Listener(this.#options.outbox);
    const all = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, all.add(listener));
    try {
      await asyncio.taskGroup(async (group) => {
        group.createTask(() => listener.deliver(socket));
        group.createTask(() => socket.keepAlive(this.#options.pingSeconds));
        for await (const message of socket) this.publish(topic, message, listener);
        group.cancel();
      });
    } finally {
      all.delete(listener);
      if (all.size === 0) this.#topics.delete(topic);
      socket.close(GOING_AWAY, "the server goes down"); // does nothing if it is closed
    }
  }
}
