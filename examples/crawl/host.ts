// One host of the site, and the manners towards it: its robots.txt, no more than so many requests
// at a time, and the pause between two requests that it asks for.

import * as asyncio from "asyncio-ts";
import type { Client } from "./http.ts";
import type { HostRecord } from "./report.ts";
import { loadRobots, type RobotsRules } from "./robots.ts";

export class Host implements HostRecord {
  readonly name: string;
  /**
   * A task, so that twenty workers that come at once load the rules once, and all wait for them.
   * It needs no group: a worker that is cancelled while it awaits a task cancels that task too.
   */
  readonly rules: asyncio.Task<RobotsRules>;
  requests = 0;
  mostAtOnce = 0;
  /** One item for each request under way: a bounded queue makes `put` wait while it is full. */
  readonly #slots: asyncio.Queue<"taken">;
  /** The instant before which no further request may start. */
  #nextStart = 0;

  constructor(url: URL, limit: number, client: Client) {
    this.name = url.host;
    this.rules = asyncio.createTask(() => loadRobots(url, client), {
      name: `robots.txt of ${url.host}`,
    });
    this.#slots = new asyncio.Queue(limit, { name: `slots of ${url.host}` });
  }

  /** Runs `request` when it is its turn. */
  async admit<T>(request: () => PromiseLike<T>): Promise<T> {
    const { delay } = await this.rules;
    await this.#slots.put("taken");
    try {
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#slots.qsize());
      if (delay > 0) await this.#waitForTurn(delay);
      this.requests++;
      return await request();
    } finally {
      this.#slots.getNowait();
    }
  }

  async #waitForTurn(delay: number): Promise<void> {
    const now = performance.now() / 1000;
    const start = Math.max(now, this.#nextStart);
    // Taken before the wait: the next one to come has to queue behind us.
    this.#nextStart = start + delay;
    await asyncio.sleep(start - now);
  }
}
