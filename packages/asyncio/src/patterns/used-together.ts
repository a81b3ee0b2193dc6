/**
 * One resource for all who use it at the same time: a pool of one, whose only loan belongs to all
 * the users together.
 */

import { checkCoroutine, InvalidStateError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import { Lock } from "../sync/lock.ts";
import { OWNER } from "./keeper.ts";
import type { Loan } from "./loan.ts";
import { Pool, type PoolOptions } from "./pool.ts";
import { checkResource, type Resource } from "./resource.ts";
import { seconds, settle } from "./settings.ts";
import { singleFlight } from "./single-flight.ts";

/** What `new Shared` takes. */
export interface SharedOptions extends Pick<PoolOptions<unknown>, "name" | "owner"> {
  /** Seconds that it stays open when the last user has left. @default 0 */
  readonly idle?: number | undefined;
}

const OPTIONS = { name: "string", idle: [seconds, 0], owner: OWNER } as const;

/**
 * Opens a resource for the first who uses it, lets all others use the same one meanwhile, and
 * closes it when the last has left, `idle` seconds later. `new Keyed((key) => new Shared(...))` has
 * one for each key. Belongs to whoever closes it, at the latest to the run. Source: Effect's RcRef.
 *
 * @example
 * let opened = 0;
 * const connection = patterns.resource(async () => ++opened, () => {});
 * await using shared = new patterns.Shared(connection, { idle: 5 });
 * const use = () => shared.run((number) => asyncio.sleep(0.001, number));
 * assert.deepEqual(await Promise.all([use(), use(), use()]), [1, 1, 1]);
 */
export class Shared<T> implements AsyncDisposable {
  readonly #pool: Pool<T>;
  readonly #open: () => Promise<void>;
  #loan: Loan<T> | undefined = undefined;
  #users = 0;

  constructor(resource: Resource<T>, options?: SharedOptions) {
    const api = "`new Shared`";
    checkResource(api, resource);
    const pool = new Pool(resource, { max: 1, ...settle(api, options, OPTIONS) });
    pool.call = "`shared.run`";
    this.#pool = pool;
    // A flight that all have left may succeed all the same: the next one looks before it borrows.
    const flying = new Lock();
    this.#open = singleFlight(
      () =>
        flying.run(async () => {
          this.#loan ??= await pool.acquire();
        }),
      { name: `open, ${pool.describe()}` },
    );
  }

  /** True iff nobody uses it. */
  get idle(): boolean {
    return this.#users === 0;
  }

  /**
   * Runs `body` with the resource, and waits until it is open before that. Cancelled while it
   * opens, the others go on. A failure to open goes to all who wait for it. Rejects with an
   * InvalidStateError once it is closed.
   */
  async run<R>(body: (item: T) => R | PromiseLike<R>): Promise<R> {
    checkCoroutine("`shared.run`", body);
    const stop = here().interruption("shared.run");
    if (stop !== undefined) await stop;
    if (this.#pool.isClosed)
      throw new InvalidStateError("`shared.run` was called when it was closed");
    this.#users++;
    try {
      if (this.#loan === undefined) await this.#open();
      return await body((this.#loan as unknown as Loan<T>).item); // `open` has put it there
    } finally {
      if (--this.#users === 0) {
        this.#loan?.[Symbol.dispose]();
        this.#loan = undefined;
      }
    }
  }

  /** Takes no more users, waits until those there are have left, and closes the resource. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How many use it or wait for it, whether it is open, and how often it was opened. */
  statistics(): Readonly<{ users: number; open: boolean; opened: number }> {
    const { open, opened } = this.#pool.statistics();
    return Object.freeze({ users: this.#users, open: open > 0, opened });
  }
}
