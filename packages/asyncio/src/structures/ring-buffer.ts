/**
 * A first-in-first-out buffer over one array, whose length is a power of two. Both ends work in
 * constant time, without an allocation once it has grown.
 */
export class RingBuffer<T> {
  #slots: (T | undefined)[] = new Array(16);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
  }

  /** The oldest item. Not for an empty buffer: items may be undefined themselves. */
  shift(): T {
    const item = this.#slots[this.#head] as T;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return item;
  }

  /** The item at `index` (0 is the oldest), which stays. */
  at(index: number): T {
    return this.#slots[(this.#head + index) & (this.#slots.length - 1)] as T;
  }

  /** Takes out the item at `index` (0 is the oldest); the others keep their order. O(index). */
  take(index: number): T {
    const mask = this.#slots.length - 1;
    const item = this.at(index);
    for (let i = index; i > 0; i--)
      this.#slots[(this.#head + i) & mask] = this.#slots[(this.#head + i - 1) & mask];
    this.shift();
    return item;
  }

  /** Drops all items. */
  clear(): void {
    this.#slots = new Array(16);
    this.#head = this.#length = 0;
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(this.#slots.length * 2);
    for (let i = 0; i < this.#length; i++) grown[i] = this.at(i);
    this.#slots = grown;
    this.#head = 0;
  }
}
