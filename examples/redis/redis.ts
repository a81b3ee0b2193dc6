// A Redis client. What there is to learn from it:
//
// - Many tasks share one connection. None of them touches it: they put requests into a queue, and
//   wait for a future each. One task writes what is in the queue, all of it at once (that is
//   pipelining), another reads the answers, which come in the order of the requests.
// - A command that is cancelled, by a timeout say, takes its request back if it has not been sent.
//   If it has, its answer comes all the same, finds its request in line, and is dropped there. So
//   the connection cannot get out of step.
// - A task keeps the connection up: when it is lost, commands that were under way fail, since it
//   is not known whether they were executed; those that were not sent wait for the next connection.
//   It is tried after a delay that doubles each time, with some chance in it, so that a thousand
//   clients do not come back at the same moment. Subscriptions are renewed.

import * as asyncio from "asyncio-ts";
import { isNetworkError } from "../command-line.ts";
import { encodeCommand, Push, ReplyError, readValue, type Value } from "./resp.ts";

export { ReplyError, type Value } from "./resp.ts";

export interface RedisOptions {
  /** @default 127.0.0.1 */
  readonly host?: string | undefined;
  /** @default 6379 */
  readonly port?: number | undefined;
  /** A Unix socket instead. */
  readonly path?: string | undefined;
  /** Seconds that connecting may take, with the greeting. @default 5 */
  readonly connectSeconds?: number | undefined;
  /**
   * Seconds before the first attempt to come back, and between two of them at most. @default [0.05,
   * 5]
   */
  readonly backoff?: readonly [least: number, most: number] | undefined;
  /** Draws from 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** The connection was lost while a command was under way: it may have been executed, or not. */
export class LostError extends Error {
  override readonly name = "LostError";
}

/** Requests that wait to be sent; who has more to ask waits, too. */
const MOST_REQUESTS = 1000;
/** Messages that wait for one subscriber; what comes then is counted as missed. */
const MOST_MESSAGES = 1000;

class Request {
  readonly text: string;
  readonly answer: asyncio.Future<Value> = new asyncio.Future();

  constructor(...parts: readonly (string | number)[]) {
    this.text = encodeCommand(parts);
  }

  /** Does nothing if its command does not wait for it any more. */
  settle(value: Value): void {
    if (!this.answer.done()) this.answer.setResult(value);
  }

  fail(error: Error): void {
    if (!this.answer.done()) this.answer.setException(error);
  }
}

/**
 * Connects to a server. Rejects if that fails; once there was a connection, the client comes back
 * by itself. Close it with `await using`.
 */
export async function openRedis(options: RedisOptions = {}): Promise<Redis> {
  return new Redis(options, await connect(options));
}

export class Redis implements AsyncDisposable {
  readonly #options: RedisOptions;
  readonly #requests: asyncio.Queue<Request> = new asyncio.Queue(MOST_REQUESTS, {
    name: "requests",
  });
  /** Requests that were sent, in order. */
  readonly #sent: Request[] = [];
  readonly #subscriptions: Map<string, Set<Subscription>> = new Map();
  readonly #keeper: asyncio.Task<void>;

  /** Use `openRedis`. */
  constructor(options: RedisOptions, first: asyncio.Connection) {
    this.#options = options;
    this.#keeper = asyncio.createTask(() => this.#keep(first), { name: "redis" });
  }

  /**
   * Runs a command: `redis.command("SET", "key", 1)`. Commands of several tasks, and of one
   * `gather`, go out together. Cancelled, it may still be executed. While there is no connection it
   * waits for one.
   * @throws ReplyError when the server refuses it; LostError when the connection was lost
   * meanwhile; QueueShutDown when the client was closed.
   */
  async command(...parts: readonly (string | number)[]): Promise<Value> {
    const request = new Request(...parts);
    await this.#requests.put(request);
    const value = await request.answer;
    if (value instanceof ReplyError) throw value;
    return value;
  }

  /**
   * Messages of a channel, from now on. Those that are sent while there is no connection are lost.
   */
  async subscribe(channel: string): Promise<Subscription> {
    const subscription = new Subscription(channel, () => this.#unsubscribe(subscription));
    const others = this.#subscriptions.get(channel) ?? new Set();
    this.#subscriptions.set(channel, others.add(subscription));
    try {
      await this.command("SUBSCRIBE", channel);
    } catch (error) {
      await subscription[Symbol.asyncDispose]();
      throw error;
    }
    return subscription;
  }

  async #unsubscribe(subscription: Subscription): Promise<void> {
    const { channel } = subscription;
    const all = this.#subscriptions.get(channel);
    if (all?.delete(subscription) !== true || all.size > 0) return;
    this.#subscriptions.delete(channel);
    if (this.#keeper.done()) return;
    await asyncio.cleanup(1, async () => {
      await this.command("UNSUBSCRIBE", channel).catch((error) => {
        if (!(error instanceof LostError)) throw error; // gone with the connection
      });
    });
  }

  /** Closes the connection; commands that are under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.cancel();
    await asyncio.cleanup(1, () => asyncio.wait([this.#keeper]));
  }

  async #keep(first: asyncio.Connection): Promise<void> {
    let reason: unknown;
    try {
      for (let connection = first; ; connection = await this.#comeBack()) {
        try {
          await this.#use(connection);
        } catch (error) {
          if (!isLoss(error)) throw error;
          const [cause] = error instanceof asyncio.ExceptionGroup ? error.flatten() : [error];
          this.#failSent("was lost", cause);
        } finally {
          connection.writer.abort();
        }
      }
    } catch (error) {
      reason = error;
      throw error;
    } finally {
      this.#requests.shutdown();
      while (!this.#requests.empty()) this.#sent.push(this.#requests.getNowait());
      this.#failSent("was closed", reason);
      for (const all of this.#subscriptions.values()) for (const one of all) one.end();
    }
  }

  async #comeBack(): Promise<asyncio.Connection> {
    const { backoff: [least, most] = [0.05, 5], random = Math.random } = this.#options;
    for (let delay = least; ; delay = Math.min(2 * delay, most)) {
      await asyncio.sleep(delay * (0.5 + random() / 2));
      try {
        return await connect(this.#options);
      } catch (error) {
        if (!isLoss(error)) throw error;
      }
    }
  }

  /** Never returns: it throws when the connection is lost. */
  async #use({ reader, writer }: asyncio.Connection): Promise<void> {
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => this.#send(writer), { name: "redis sender" });
      for (;;) this.#take(await readValue(reader));
    });
  }

  async #send(writer: asyncio.StreamWriter): Promise<void> {
    let batch = [...this.#subscriptions.keys()].map((channel) => new Request("SUBSCRIBE", channel));
    for (;;) {
      const wanted = batch.filter(({ answer }) => !answer.done());
      this.#sent.push(...wanted);
      await writer.write(wanted.map(({ text }) => text).join(""));
      batch = [await this.#requests.get()];
      while (!this.#requests.empty()) batch.push(this.#requests.getNowait());
    }
  }

  /** What comes is an answer to the first request in line, or a message. */
  #take(value: Value): void {
    if (value instanceof Push && value.kind === "message") {
      const [channel, message] = value.values.map(String) as [string, string];
      for (const one of this.#subscriptions.get(channel) ?? []) one.put(message);
    } else if (!(value instanceof Push) || value.kind.endsWith("subscribe"))
      this.#sent.shift()?.settle(value);
  }

  #failSent(how: string, cause: unknown): void {
    for (const request of this.#sent.splice(0))
      request.fail(new LostError(`the connection to Redis ${how}`, { cause }));
  }
}

/**
 * Messages of a channel: `for await` gives them, until the client is closed. `await using` ends it.
 */
export class Subscription implements AsyncDisposable {
  readonly channel: string;
  /** Messages that came when too many waited. */
  missed = 0;
  readonly #messages: asyncio.Queue<string>;
  readonly #leave: () => Promise<void>;

  /** Use `redis.subscribe`. */
  constructor(channel: string, leave: () => Promise<void>) {
    this.channel = channel;
    this.#leave = leave;
    this.#messages = new asyncio.Queue(MOST_MESSAGES, { name: channel });
  }

  put(message: string): void {
    if (this.#messages.full()) this.missed++;
    else this.#messages.putNowait(message);
  }

  end(): void {
    this.#messages.shutdown();
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return this.#messages[Symbol.asyncIterator]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    await this.#leave();
  }
}

/** A connection that speaks RESP3. */
async function connect(options: RedisOptions): Promise<asyncio.Connection> {
  const { host = "127.0.0.1", port = 6379, path, connectSeconds = 5 } = options;
  return await asyncio.timeout(connectSeconds, async () => {
    const connection =
      path === undefined
        ? await asyncio.openConnection({ host, port, keepAlive: true })
        : await asyncio.openUnixConnection(path);
    try {
      await connection.writer.write(encodeCommand(["HELLO", 3]));
      const greeting = await readValue(connection.reader);
      if (greeting instanceof ReplyError) throw greeting;
      return connection;
    } catch (error) {
      connection.writer.abort();
      throw error;
    }
  });
}

/** Whether an error says that there is no connection, for which the cure is another one. */
function isLoss(error: unknown): boolean {
  if (error instanceof asyncio.ExceptionGroup) return error.flatten().every(isLoss);
  const isEnd = error instanceof asyncio.IncompleteReadError;
  return isEnd || error instanceof asyncio.TimeoutError || isNetworkError(error);
}
