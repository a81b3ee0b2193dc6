/**
 * Resources: how something is opened and closed, as one value. A resource is opened in the scope of
 * whoever opens it, so that can be cancelled. Once it is open nothing comes between that and the
 * promise to close it: a completed wait wins, and there is no other wait in between.
 */

import { advice, argumentError, checkCoroutine, InvalidStateError } from "../errors/errors.ts";
import { here } from "../kernel/operation.ts";
import type { Coroutine } from "../kernel/task.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import { type SignalOption, underSignal } from "../tasks/timeouts.ts";
import { type Ended, endedBy, RETURNED, type ReleaseOptions, releaseWithin } from "./release.ts";
import { report } from "./reports.ts";
import { seconds, settle } from "./settings.ts";

export type { Ended, ReleaseOptions };

const RELEASE = { name: "string", releaseDelay: [seconds, 5] } as const;

/** How something is opened and closed. Made by `resource`. */
export class Resource<T> {
  /** What reports and errors call it. */
  readonly name: string | undefined;
  /** @internal */ readonly open: () => Promise<T>;
  /** @internal In a shield, for as long as it may take. */
  readonly close: (item: T, ended: Ended) => Promise<void>;

  /** @internal */
  constructor(
    acquire: Coroutine<T>,
    release: (item: T, ended: Ended) => unknown,
    options: Pick<ReleaseOptions, "name"> & { readonly releaseDelay: number },
  ) {
    const { name, releaseDelay } = options;
    this.name = name;
    this.open = async () => await acquire();
    this.close = (item, ended) =>
      releaseWithin(releaseDelay, name ?? "a resource", () => release(item, ended));
  }

  /**
   * Opens it, runs `body` with it, closes it on every path, and gives what `body` gives. Cancelled
   * while it opens, there is nothing to close. A failure of closing is thrown, unless `body` has
   * failed: then that one comes out, and the other is reported.
   */
  async use<R>(body: (item: T) => R | PromiseLike<R>): Promise<R> {
    checkCoroutine("`resource.use`", body);
    const run = async (scope: ResourceScope): Promise<R> => await body(await scope.open(this));
    return await enclosed("resource.use", run, ([failure]) => failure);
  }
}

/**
 * Says how something is opened, and how it is closed: by `release`, which gets what `acquire` gave,
 * and how the body ended that it was opened for. `release` runs in a shield, for at most
 * `releaseDelay` seconds. Not a wait: `use` opens it, and so do `resources` and a Pool.
 *
 * @example
 * const log: string[] = [];
 * const connection = patterns.resource(
 *   async () => ({ query: async (text: string) => text.length }),
 *   async (_connection, ended) => log.push(ended.how),
 *   { name: "the database" },
 * );
 * assert.equal(await connection.use((db) => db.query("select 1")), 8);
 * assert.deepEqual(log, ["returned"]);
 */
export function resource<T>(
  acquire: Coroutine<T>,
  release: (item: T, ended: Ended) => unknown,
  options?: ReleaseOptions,
): Resource<T> {
  checkCoroutine("`resource`", acquire);
  checkCoroutine("`resource`", release);
  return new Resource(acquire, release, settle("`resource`", options, RELEASE));
}

/** @throws TypeError in the name of `api`. */
export function checkResource(api: string, value: unknown): void {
  const cure = advice("Make one with `resource(open, close)`");
  if (!(value instanceof Resource)) throw argumentError(api, "a resource", value, cure);
}

/** What the body of `resources` gets: opens things for the rest of the block. */
export class ResourceScope {
  readonly #releases: ((ended: Ended) => Promise<void>)[] = [];
  #closed = false;

  /**
   * Opens a resource, which is closed at the end of the block. Cancelled while it opens, there is
   * nothing to close. Rejects with an InvalidStateError when the block has ended.
   */
  async open<T>(resource: Resource<T>): Promise<T> {
    checkResource("`scope.open`", resource);
    this.#checkOpen("open");
    const item = await resource.open();
    if (this.#closed) {
      await resource.close(item, RETURNED); // a branch that was not awaited has opened it too late
      this.#checkOpen("open");
    }
    this.#releases.push((ended) => resource.close(item, ended));
    return item;
  }

  /**
   * Disposes of `item` at the end of the block, within 5 seconds, and gives it back.
   * @throws InvalidStateError when the block has ended.
   */
  use<T extends AsyncDisposable | Disposable>(item: T): T {
    const { [Symbol.asyncDispose]: asynchronous, [Symbol.dispose]: synchronous } = (item ??
      {}) as Partial<AsyncDisposable & Disposable>;
    const dispose: unknown = asynchronous ?? synchronous;
    if (typeof dispose !== "function")
      throw argumentError("`scope.use`", "something that can be disposed of", item);
    this.defer(() => dispose.call(item));
    return item;
  }

  /**
   * Calls `release` at the end of the block, in a shield, for at most `releaseDelay` seconds.
   * @throws InvalidStateError when the block has ended.
   */
  defer(release: (ended: Ended) => unknown, options?: ReleaseOptions): void {
    checkCoroutine("`scope.defer`", release);
    const { name = "what was deferred", releaseDelay } = settle("`scope.defer`", options, RELEASE);
    this.#checkOpen("defer");
    this.#releases.push((ended) => releaseWithin(releaseDelay, name, () => release(ended)));
  }

  /** @internal Closes everything, the last first, and gives what has failed. */
  async close(ended: Ended): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (let next = this.#releases.pop(); next !== undefined; next = this.#releases.pop())
      await next(ended).catch((error) => failures.push(error));
    this.#closed = true;
    return failures;
  }

  #checkOpen(call: string): void {
    if (!this.#closed) return;
    const message = `\`scope.${call}\` was called when the block of \`resources\` had ended${advice("Await everything inside of it")}`;
    throw new InvalidStateError(message);
  }
}

/**
 * Runs `body`, and at its end closes what it has opened, the last first. Each release runs in a
 * shield of its own, and is told how the body ended; one that fails keeps no other from running. A
 * cancellation that comes meanwhile waits. A failure of the body comes out as it is, and those of
 * releases are reported then; where the body has succeeded, they are thrown as an ExceptionGroup.
 * Source: Effect's Scope, Python's AsyncExitStack.
 *
 * @example
 * const log: string[] = [];
 * const named = (name: string) =>
 *   patterns.resource(async () => name, () => log.push(`close ${name}`));
 * await patterns.resources(async (scope) => {
 *   const first = await scope.open(named("the file"));
 *   const second = await scope.open(named("its lock"));
 *   scope.defer((ended) => log.push(ended.how));
 *   log.push(`copy ${first} under ${second}`);
 * });
 * assert.deepEqual(log.slice(1), ["returned", "close its lock", "close the file"]);
 */
export async function resources<T>(
  body: (scope: ResourceScope) => T | PromiseLike<T>,
  options?: SignalOption,
): Promise<T> {
  checkCoroutine("`resources`", body);
  const { signal: stop } = settle("`resources`", options, { signal: "AbortSignal" });
  const group = (failures: unknown[]): ExceptionGroup =>
    new ExceptionGroup("closing resources has failed", failures);
  return await enclosed("resources", body, group, stop);
}

/**
 * Runs `body`, and closes what it has opened. Where only that fails, throws what `toThrow` makes.
 */
async function enclosed<T>(
  label: string,
  body: (scope: ResourceScope) => T | PromiseLike<T>,
  toThrow: (failures: unknown[]) => unknown,
  stopSignal?: AbortSignal,
): Promise<T> {
  const stop = here().interruption(label);
  if (stop !== undefined) await stop;
  const scope = new ResourceScope();
  let ended = RETURNED;
  let value: T;
  const run = async (): Promise<T> => {
    try {
      return await body(scope);
    } catch (error) {
      ended = endedBy(error);
      throw error;
    }
  };
  const message = "a release has failed, after the body that it belongs to";
  try {
    value = await underSignal(`\`${label}\``, stopSignal, run);
  } catch (error) {
    for (const failure of await scope.close(ended)) report(message, failure);
    throw error;
  }
  const failures = await scope.close(ended);
  if (failures.length > 0) throw toThrow(failures);
  return value;
}
