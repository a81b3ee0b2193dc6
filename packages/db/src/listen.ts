/**
 * LISTEN as an async iterable, on a connection of its own. Nobody can be told what was notified while
 * there was no connection, so a loss shows as one `gap`, after which the consumer looks for itself.
 * A connection that is silent is asked now and then whether it is still there.
 */

import { CancelledError, cleanup, getRunningLoop, moveOnAfter, sleep } from "asyncio-ts";
import { interruption, park, type Wait } from "asyncio-ts/lowlevel";
import { ConnectionLostError } from "./errors.ts";
import { OneReader } from "./one-reader.ts";
import { argumentError, checkCount, checkOptions, checkSeconds, type Names } from "./options.ts";
import type { Session } from "./session.ts";

/** Something was notified. */
export interface Notification {
  readonly kind: "notification";
  readonly channel: string;
  readonly payload: string;
}

/** From here on something may be missing: look for yourself. */
export interface Gap {
  readonly kind: "gap";
  /** Why: the connection was lost, or the consumer was slower than the channel. */
  readonly reason: Error;
}

/** What `listen` takes. */
export interface ListenOptions {
  /** How many notifications wait for the consumer; then a gap, and it begins anew. @default 1000 */
  readonly limit?: number | undefined;
  /** Seconds of silence after which the server is asked for a sign of life. @default 30 */
  readonly probe?: number | undefined;
}

const KNOWN: Names<ListenOptions> = { limit: 1, probe: 1 };

/** The server cuts a longer name, and `pg_notify` refuses it: nothing would ever come. */
const LONGEST_NAME = 63;
const CUT = "PostgreSQL has no channel with a longer one";

/** Seconds between attempts to connect: doubled each time. */
const FIRST_DELAY = 0.1;
const MOST_DELAY = 5;

/** @internal */
export function listen(
  open: () => Promise<Session>,
  channel: string,
  options: ListenOptions = {},
): AsyncIterableIterator<Notification | Gap, undefined> {
  const api = "`listen`";
  if (typeof channel !== "string" || channel === "" || channel.includes("\0"))
    throw argumentError(api, "the name of a channel", channel);
  if (Buffer.byteLength(channel) > LONGEST_NAME)
    throw argumentError(api, `a name of ${LONGEST_NAME} bytes at most`, channel, CUT);
  checkOptions(api, options, KNOWN);
  checkCount(api, "limit", options.limit);
  checkSeconds(api, "probe", options.probe);
  return new Listener(open, channel, options.limit ?? 1000, options.probe ?? 30);
}

class Listener implements AsyncIterableIterator<Notification | Gap, undefined> {
  readonly #open: () => Promise<Session>;
  readonly #channel: string;
  readonly #limit: number;
  readonly #probe: number;
  #session: Session | undefined = undefined;
  #isClosed = false;
  readonly #reader: OneReader;
  readonly #waiting: Notification[] = [];
  /** Why something is missing, after what is waiting. */
  #gap: Error | undefined = undefined;
  #wait: Wait<void> | undefined = undefined;
  #heardAt = 0;

  constructor(open: () => Promise<Session>, channel: string, limit: number, probe: number) {
    this.#open = open;
    this.#channel = channel;
    this.#reader = new OneReader(`listen ${channel}`);
    this.#limit = limit;
    this.#probe = probe;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Notification | Gap, undefined>> {
    return this.#reader.read(() => this.#next());
  }

  async #next(): Promise<IteratorResult<Notification | Gap, undefined>> {
    try {
      for (;;) {
        if (this.#isClosed) return { done: true, value: undefined };
        const value = this.#take();
        if (value !== undefined) return { done: false, value };
        if (this.#session === undefined || this.#session.lost !== undefined) await this.#connect();
        else await this.#untilNews(this.#session);
      }
    } catch (error) {
      await this.return(); // `for await` does not call it when `next` rejects
      throw error;
    }
  }

  /** Leaving the loop: closes the connection, and waits for that. */
  async return(): Promise<IteratorResult<Notification | Gap, undefined>> {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#wait?.resume();
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) await cleanup(session.options.grace, () => session.close());
    return { done: true, value: undefined };
  }

  #take(): Notification | Gap | undefined {
    const first = this.#waiting.shift();
    if (first !== undefined) return first;
    // A gap is told when there is a connection again: what comes from then on is not missed.
    if (this.#gap === undefined || this.#session?.lost !== undefined) return undefined;
    const reason = this.#gap;
    this.#gap = undefined;
    return { kind: "gap", reason };
  }

  /** The first time a failure is the consumer's; later it is a gap, and another attempt. */
  async #connect(): Promise<void> {
    const isFirst = this.#session === undefined;
    for (let delay = FIRST_DELAY; ; delay = Math.min(2 * delay, MOST_DELAY)) {
      try {
        await this.#subscribe();
        return;
      } catch (error) {
        if (isFirst || error instanceof CancelledError) throw error;
        if (!(error instanceof ConnectionLostError)) throw error;
        await sleep(delay);
      }
    }
  }

  async #subscribe(): Promise<void> {
    const session = await this.#open();
    this.#session = session;
    if (this.#isClosed) {
      await this.return(); // it was left while it was being connected
      return;
    }
    session.connection.onNotification = (channel, payload) => {
      this.#heard();
      if (this.#waiting.length < this.#limit && this.#gap === undefined)
        this.#waiting.push({ kind: "notification", channel, payload });
      else
        this.#gap ??= new Error(
          `more than ${this.#limit} notifications were waiting for the consumer`,
        );
    };
    session.losses.add((reason) => {
      this.#gap ??= reason;
      this.#heard();
    });
    const name = `"${this.#channel.replaceAll('"', '""')}"`;
    await session.send(
      { kind: "script", text: `listen ${name}` },
      { title: `listen ${this.#channel}` },
    );
    this.#heard();
  }

  #heard(): void {
    this.#heardAt = getRunningLoop().time();
    this.#wait?.resume();
  }

  async #untilNews(session: Session): Promise<void> {
    const silence = this.#heardAt + this.#probe - getRunningLoop().time();
    const { cancelled } = await moveOnAfter(Math.max(silence, 0), () => this.#news());
    if (!cancelled) return;
    const statement = { text: "select 1", values: [], prepare: false };
    const { grace } = session.options;
    const sign = await moveOnAfter(grace, () =>
      session.send({ kind: "query", statement }, { title: "probe", onCancel: "cut" }),
    ).catch((error: unknown) => {
      if (!(error instanceof ConnectionLostError)) throw error;
      return { cancelled: true }; // its loss is known
    });
    if (!sign.cancelled) this.#heardAt = getRunningLoop().time();
  }

  async #news(): Promise<void> {
    const what = `a notification on ${JSON.stringify(this.#channel)}`;
    const stop = interruption(what);
    if (stop !== undefined) await stop;
    this.#wait = park<void>(what);
    try {
      await this.#wait.promise;
    } finally {
      this.#wait = undefined;
    }
  }
}
