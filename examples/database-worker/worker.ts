// Workers that do jobs as they come. They know nothing of databases, so they are tested without
// one.

import * as asyncio from "asyncio-ts";

/** Where jobs come from. */
export interface JobSource {
  /** Does a job; false: there was none. */
  doNext(): Promise<boolean>;
}

/** Tells workers that there may be something to do. */
export class Bell {
  #next: asyncio.Event = new asyncio.Event();

  ring(): void {
    this.#next.set();
    this.#next = new asyncio.Event();
  }

  /** Take it before you look for a job: a ring after that is not missed. */
  get next(): asyncio.Event {
    return this.#next;
  }
}

export interface WorkOptions {
  /** Seconds after which a worker looks again without a notification. */
  readonly pollSeconds: number;
}

/** Does jobs for ever. */
export async function work(
  source: JobSource,
  bell: Bell,
  { pollSeconds }: WorkOptions,
): Promise<never> {
  for (;;) {
    const ring = bell.next;
    if (await source.doNext()) continue;
    await asyncio.moveOnAfter(pollSeconds, () => ring.wait());
  }
}

/** Seconds before a lost connection is opened again, and most of them. */
const BACKOFF: readonly [least: number, most: number] = [0.1, 10];

/**
 * Runs `body` for ever, and again when it was `isLoss` that ended it; later each time, unless it
 * has lived for a while.
 */
export async function reopen(
  body: () => Promise<void>,
  isLoss: (error: unknown) => boolean,
  onLoss: (error: unknown) => void = () => {},
  random: () => number = Math.random,
): Promise<void> {
  const [least, most] = BACKOFF;
  const loop = asyncio.getRunningLoop();
  for (let delay = least; ; delay = Math.min(2 * delay, most)) {
    const startedAt = loop.time();
    try {
      await body();
    } catch (error) {
      if (!isLoss(error)) throw error;
      onLoss(error);
    }
    if (loop.time() - startedAt > most) delay = least;
    await asyncio.sleep(delay * (0.5 + random() / 2));
  }
}
