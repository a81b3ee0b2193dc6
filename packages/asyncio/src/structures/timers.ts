/**
 * The timers of a loop: a heap ordered by deadline, then by the order in which they were set
 * (S162). A cancelled timer stays in it until it comes up, or until more than half of the heap is
 * cancelled and it is rebuilt. So cancelling costs no search, and a million timeouts set and
 * cancelled leave fewer than COMPACT_ABOVE entries behind.
 */

/** What a timer wakes, inside the loop: it must not throw and must not call user code. */
export interface TimerTarget {
  timerDue(timer: Timer): void;
}

export class Timer {
  readonly when: number; // in seconds on the clock of the loop
  readonly sequence: number;
  target: TimerTarget | undefined; // undefined once the timer has fired or was cancelled

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

export function formatSeconds(seconds: number): string {
  return `${Math.round(Math.max(seconds, 0) * 1000) / 1000} s`;
}

const ARITY = 4; // half the levels of a binary heap, and siblings share cache lines (bench: timers)
const COMPACT_ABOVE = 512;

export class TimerHeap {
  #heap: Timer[] = [];
  #sequence = 0;
  #cancelled = 0;

  /** How many timers are still to fire. */
  get live(): number {
    return this.#heap.length - this.#cancelled;
  }
  /** How many entries the heap holds, the cancelled ones included. */
  get size(): number {
    return this.#heap.length;
  }

  add(when: number, target: TimerTarget): Timer {
    const timer = new Timer(when, this.#sequence++, target);
    this.#siftUp(this.#heap.length, timer);
    return timer;
  }

  /** Cancelling a timer that has fired or was cancelled does nothing. */
  cancel(timer: Timer): void {
    if (timer.target === undefined) return;
    timer.target = undefined;
    this.#cancelled++;
    const { size } = this;
    if (size > COMPACT_ABOVE && this.#cancelled * 2 > size) this.#compact();
  }

  /** The deadline of the next timer that will fire, Infinity if there is none. */
  next(): number {
    const heap = this.#heap;
    while (heap.length > 0) {
      const first = heap[0] as Timer; // length > 0
      if (first.target !== undefined) return first.when;
      this.#cancelled--;
      this.#removeFirst();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Fires all timers that are due at `now`, also those that are set meanwhile. */
  fireDue(now: number): void {
    while (this.next() <= now) {
      const timer = this.#heap[0] as Timer; // next() is finite, so there is a live first one
      const target = timer.target as TimerTarget; // live: it has a target
      timer.target = undefined;
      this.#removeFirst();
      target.timerDue(timer);
    }
  }

  /** What the timers will wake, in no order. */
  targets(): TimerTarget[] {
    return this.#heap.flatMap(({ target }) => (target === undefined ? [] : [target]));
  }

  clear(): void {
    for (const timer of this.#heap) timer.target = undefined;
    this.#heap = [];
    this.#cancelled = 0;
  }

  #compact(): void {
    const live = this.#heap.filter((timer) => timer.target !== undefined);
    this.#heap = live;
    this.#cancelled = 0;
    for (let index = Math.floor((live.length - 2) / ARITY); index >= 0; index--)
      this.#siftDown(index, live[index] as Timer);
  }

  #removeFirst(): void {
    const last = this.#heap.pop() as Timer;
    if (this.#heap.length > 0) this.#siftDown(0, last);
  }

  #siftUp(start: number, timer: Timer): void {
    const heap = this.#heap;
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 2;
      const parent = heap[parentIndex] as Timer;
      if (!comesBefore(timer, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = timer;
  }

  #siftDown(start: number, timer: Timer): void {
    const heap = this.#heap;
    const { length } = heap;
    let index = start;
    for (;;) {
      const firstChild = index * ARITY + 1;
      if (firstChild >= length) break;
      let least = firstChild;
      for (let child = firstChild + 1; child < Math.min(firstChild + ARITY, length); child++)
        if (comesBefore(heap[child] as Timer, heap[least] as Timer)) least = child;
      if (!comesBefore(heap[least] as Timer, timer)) break;
      heap[index] = heap[least] as Timer;
      index = least;
    }
    heap[index] = timer;
  }
}

function comesBefore(a: Timer, b: Timer): boolean {
  return a.when < b.when || (a.when === b.when && a.sequence < b.sequence);
}
