/**
 * The cancel requests to one server, and the connection that stands by for the next one.
 *
 * PostgreSQL starts a process for each connection, which takes longer than all the rest of a cancel.
 * So while some statement runs for long, one connection to its server stands by: connected, and
 * silent. A cancel goes out on it in the call. It is one for each server, however many sessions
 * there are, and the server does not count it as a client, for it has not said who it is.
 *
 *     a statement runs ── LOOK ── LOOK ── still the same one ──▶ a connection stands by
 *                                           cancelled ──▶ it brings the request, another one follows
 *                                  none runs for long ──▶ closed after LINGER
 *                   older than LIFETIME, or no session ──▶ closed
 */

import { AsyncResource } from "node:async_hooks";
import type { CancelWire } from "./cancel.ts";

/** A cancel request that is under way. */
export interface CancelRequest {
  /** Settles when the server has closed its connection; rejects if it could not be asked. */
  readonly ended: Promise<void>;
  /** Gives it up in the call. */
  destroy(): void;
}

/** A session, as the line sees it. */
export interface Watched {
  /** The number of the request that its server works on; 0: none. */
  readonly running: number;
}

/** What calls back again and again. */
export interface Repeater {
  /** In seconds, from any time on. */
  now(): number;
  /** Calls back each `seconds`, until what it gives is called. */
  every(seconds: number, callback: () => void): () => void;
}

/** How many cancel requests to one server are under way at a time; the others wait. */
const MOST = 8;
/** Seconds between two looks at what runs. A statement that is seen twice runs for long. */
const LOOK = 0.02;
/** Seconds for which a connection stands by after the last statement that has run for long. */
const LINGER = 1;
/** Seconds after which it is closed: half of what a server gives a client to say who it is. */
const LIFETIME = 30;

/** In the context of the module, so that nothing of the code that began a statement is kept. */
const root = new AsyncResource("asyncio-ts-db");

/** The host's own timers: they say nothing of the program, and keep no process. */
const HOST: Repeater = {
  now: () => performance.now() / 1000,
  every: (seconds, callback) => {
    const timer = root.runInAsyncScope(() => setInterval(callback, seconds * 1000)).unref();
    return () => clearInterval(timer);
  },
};

/** The requests to one server: one that has much to cancel is not flooded. */
export class CancelLine {
  readonly #dial: () => CancelWire;
  readonly #repeater: Repeater;
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];
  /** Sessions whose statements are looked at, and what they ran at the last look. */
  readonly #watched: Map<Watched, number> = new Map();
  /** Ends the looks; undefined while nobody looks. */
  #stopLooking: (() => void) | undefined = undefined;
  #standby: CancelWire | undefined = undefined;
  /** When the last one was opened, and from when on there may be another. */
  #openedAt = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  /** When a statement was last seen that runs for long. */
  #neededAt = 0;

  constructor(dial: () => CancelWire, repeater: Repeater = HOST) {
    this.#dial = dial;
    this.#repeater = repeater;
  }

  /** Looks at the statements of a session, from now on. */
  watch(session: Watched): void {
    this.#watched.set(session, 0);
  }

  /** Looks at them no more. Nothing stands by when no session is left. */
  unwatch(session: Watched): void {
    this.#watched.delete(session);
    if (this.#watched.size === 0) this.#rest();
  }

  /** A statement begins. */
  begun(): void {
    if (this.#stopLooking !== undefined || this.#watched.size === 0) return;
    this.#stopLooking = this.#repeater.every(LOOK, () => this.#look());
  }

  /** Sends a request when its turn has come. */
  send(processId: number, secretKey: number): CancelRequest {
    let wire: CancelWire | undefined;
    let isDropped = false;
    const begin = async (): Promise<void> => {
      if (isDropped) {
        this.#waiting.shift()?.();
        throw new Error("the connection was lost before the cancel request was sent");
      }
      this.#underWay++;
      wire = this.#take() ?? this.#dial();
      wire.send(processId, secretKey);
      try {
        await wire.ended;
      } finally {
        this.#underWay--;
        this.#waiting.shift()?.();
      }
    };
    const ended =
      this.#underWay < MOST
        ? begin()
        : new Promise<void>((resolve) => this.#waiting.push(resolve)).then(begin);
    const destroy = (): void => {
      isDropped = true;
      wire?.destroy();
    };
    return { ended, destroy };
  }

  /** The one that stands by, if it is still there. */
  #take(): CancelWire | undefined {
    const wire = this.#standby;
    this.#standby = undefined;
    return wire?.isOpen === true ? wire : undefined;
  }

  #look(): void {
    const now = this.#repeater.now();
    let isBusy = false;
    let isLong = false;
    for (const [session, before] of this.#watched) {
      const { running } = session;
      this.#watched.set(session, running);
      if (running === 0) continue;
      isBusy = true;
      if (running === before) isLong = true;
    }
    if (isLong) this.#neededAt = now;
    if (this.#standby?.isOpen === false) {
      // The server does not want it: that is asked of it no sooner than another one would be due.
      this.#standby = undefined;
      this.#notBefore = this.#openedAt + LIFETIME;
    }
    if (now - this.#neededAt > LINGER || now - this.#openedAt > LIFETIME) this.#drop();
    if (isLong && this.#standby === undefined && now >= this.#notBefore) {
      this.#openedAt = now;
      this.#standby = this.#dial();
    }
    if (!isBusy && this.#standby === undefined) this.#rest();
  }

  #drop(): void {
    this.#standby?.destroy();
    this.#standby = undefined;
  }

  #rest(): void {
    this.#drop();
    this.#stopLooking?.();
    this.#stopLooking = undefined;
  }
}
