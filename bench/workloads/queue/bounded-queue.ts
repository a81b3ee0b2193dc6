// A bounded queue as one writes it by hand: two arrays of waiters, nothing about cancelling.

export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  readonly #getters: ((item: T) => void)[] = [];
  readonly #putters: { readonly item: T; readonly resolve: () => void }[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  put(item: T): Promise<void> | undefined {
    const getter = this.#getters.shift();
    if (getter !== undefined) getter(item);
    else if (this.#items.length < this.#capacity) this.#items.push(item);
    else return new Promise((resolve) => this.#putters.push({ item, resolve }));
    return undefined;
  }

  get(): T | Promise<T> {
    const item = this.#items.shift();
    if (item === undefined) return new Promise((resolve) => this.#getters.push(resolve));
    const putter = this.#putters.shift();
    if (putter !== undefined) {
      this.#items.push(putter.item);
      putter.resolve();
    }
    return item;
  }
}
