/** The promise of a write that has not room enough: it begins to wait when it is awaited. */

export class Backpressure implements Promise<void> {
  readonly [Symbol.toStringTag] = "Promise";
  readonly #begin: () => Promise<void>;
  #promise: Promise<void> | undefined = undefined;

  constructor(begin: () => Promise<void>) {
    this.#begin = begin;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  then<A = void, B = never>(
    // biome-ignore lint/suspicious/noConfusingVoidType: so has Promise<void>
    fulfilled?: ((value: void) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#wait().then(fulfilled, rejected);
  }

  // biome-ignore lint/suspicious/noConfusingVoidType: so has Promise<void>
  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<void | B> {
    return this.#wait().catch(rejected);
  }

  finally(ended?: (() => void) | null): Promise<void> {
    return this.#wait().finally(ended);
  }

  #wait(): Promise<void> {
    this.#promise ??= this.#begin();
    return this.#promise;
  }
}
