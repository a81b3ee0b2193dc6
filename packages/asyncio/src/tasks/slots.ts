/** Values by numbered places. Those in use lie close together, so they go round (bench: map). */
export class Slots<O> {
  #places: (O | undefined)[] = new Array(16);
  /** How many are in use. */
  size = 0;
  /** No place before it is in use. */
  #first = 0;

  get(place: number): O | undefined {
    return this.#places[place & (this.#places.length - 1)];
  }

  put(place: number, outcome: O): void {
    while (place - this.#first >= this.#places.length) this.#grow();
    this.#places[place & (this.#places.length - 1)] = outcome;
    this.size++;
  }

  /** Empties the first place. */
  take(place: number): void {
    this.#places[place & (this.#places.length - 1)] = undefined;
    this.#first = place + 1;
    this.size--;
  }

  /** Empties all, and gives what was there, in order. */
  takeAll(): O[] {
    const first = this.#first;
    const all = Array.from(this.#places, (_, offset) => this.get(first + offset)); // `map` skips holes
    this.#places.fill(undefined);
    this.size = 0;
    return all.filter((outcome) => outcome !== undefined);
  }

  #grow(): void {
    const before = this.#places;
    this.#places = new Array(before.length * 2);
    for (let place = this.#first; place < this.#first + before.length; place++)
      this.#places[place & (this.#places.length - 1)] = before[place & (before.length - 1)];
  }
}
