/**
 * The timers of a loop: a heap ordered by deadline, then by the order in which they were set
 * (S162). Each timer knows its place in it, so a cancelled one leaves at once and without a search.
 */

/** What a timer wakes, inside the loop: it must not throw and must not call user code. */
export interface TimerTarget {
  timerDue(timer: Timer): void;
}

export class Timer {
  readonly when: number; // in seconds on the clock of the loop
  readonly sequence: number;
  target: TimerTarget | undefined; // undefined once the timer has fired or was cancelled
  place = 0; // in the heap, while it has a target

  constructor(when: number, sequence: number, target: TimerTarget | undefined) {
    this.when = when;
    this.sequence = sequence;
    this.target = target;
  }

  /** What a sleep waits for. */
  describeWait(now: number): string {
    if (this.when === Number.POSITIVE_INFINITY) return "sleep, for ever";
    return `sleep, ${formatSeconds(this.when - now)} left`;
  }
}

export const formatSeconds = (seconds: number): string =>
  `${Math.round(Math.max(seconds, 0) * 1000) / 1000} s`;

const ARITY = 4; // half the levels of a binary heap, and siblings share cache lines (bench: timers)
export class TimerHeap {
  #heap: Timer[] = [];
  #sequence = 0;
  /** How many timers are still to fire. */
  get live(): number {
    return this.#heap.length;
  }
  add(when: number, target: TimerTarget): Timer {
    const timer = new Timer(when, this.#sequence++, target);
    this.#siftUp(this.#heap.length, timer);
    return timer;
  }
  /** Cancelling a timer that has fired or was cancelled does nothing. */
  cancel(timer: Timer): void {
    if (timer.target !== undefined) this.#remove(timer);
  }
  /** The deadline of the next timer that will fire, Infinity if there is none. */
  next(): number {
    return this.#heap[0]?.when ?? Number.POSITIVE_INFINITY;
  }
  /** Fires all timers that are due at `now`, also those that are set meanwhile. */
  fireDue(now: number): void {
    while (this.next() <= now) {
      const first = this.#heap[0] as Timer; // next() is finite, so there is one
      const target = first.target as TimerTarget; // it has one while it is in the heap
      this.#remove(first);
      target.timerDue(first);
    }
  }
  /** What the timers will wake, in no order. */
  targets(): TimerTarget[] {
    return this.#heap.map(({ target }) => target as TimerTarget); // as above
  }
  clear(): void {
    for (const timer of this.#heap) timer.target = undefined;
    this.#heap = [];
  }

  #remove(timer: Timer): void {
    timer.target = undefined;
    const last = this.#heap.pop() as Timer; // there is at least this one
    if (last === timer) return;
    this.#siftDown(timer.place, last);
    if (last.place === timer.place) this.#siftUp(last.place, last); // it may belong further up
  }

  #siftUp(start: number, timer: Timer): void {
    const heap = this.#heap;
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 2;
      const parent = heap[parentIndex] as Timer;
      if (!comesBefore(timer, parent)) break;
      heap[index] = parent;
      parent.place = index;
      index = parentIndex;
    }
    heap[index] = timer;
    timer.place = index;
  }

  #siftDown(start: number, timer: Timer): void {
    const heap = this.#heap;
    const { length } = heap;
    let index = start;
    for (;;) {
      const firstChild = index * ARITY + 1;
      if (firstChild >= length) break;
      let least = firstChild;
      for (let other = firstChild + 1; other < Math.min(firstChild + ARITY, length); other++)
        if (comesBefore(heap[other] as Timer, heap[least] as Timer)) least = other;
      const child = heap[least] as Timer;
      if (!comesBefore(child, timer)) break;
      heap[index] = child;
      child.place = index;
      index = least;
    }
    heap[index] = timer;
    timer.place = index;
  }
}

const comesBefore = (a: Timer, b: Timer): boolean =>
  a.when < b.when || (a.when === b.when && a.sequence < b.sequence);
