// The stage of the memory programs: tasks come to a point where all of them wait, and then it is
// read how much memory they take. stage.py and stage.go do the same for the programs in Python and
// Go.

export interface MemoryPlan {
  readonly tasks: number;
  /** How long each of them sleeps; it has to be longer than it takes to start them all. */
  readonly seconds: number;
}

export interface MemoryFinding {
  readonly tasks: number;
  /**
   * What the heap has grown by, garbage collected, for each task. Absent in Python, where nobody
   * knows.
   */
  readonly heapBytesPerTask?: number;
  /** What the process takes from the system in addition, for each task. */
  readonly residentBytesPerTask: number;
  /** From the start of the first until all of them wait. */
  readonly startMs: number;
  /**
   * From the start of the first until the end of the last; 0 where they do not end by themselves.
   */
  readonly wallMs: number;
  /** True if some went on before all were waiting: then the bytes are those of fewer tasks. */
  readonly overlapped: boolean;
}

export class Stage {
  /** Settles when all wait and the memory has been read. */
  readonly measured: Promise<void>;
  readonly plan: MemoryPlan;
  readonly #resolveMeasured: () => void;
  readonly #before: Reading;
  readonly #startedAt: number;
  #waiting = 0;
  #gone = 0;
  #finding: MemoryFinding | undefined;

  /** Reads the plan from the command line. The next line of the program starts the tasks. */
  constructor() {
    this.plan = JSON.parse(process.argv[2] ?? "") as MemoryPlan; // memory.ts passes one
    const { promise, resolve } = Promise.withResolvers<void>();
    this.measured = promise;
    this.#resolveMeasured = resolve;
    this.#before = read();
    this.#startedAt = performance.now();
  }

  /** A task is about to wait. When it is the last one, the memory is read as soon as it does. */
  enter(): void {
    if (++this.#waiting === this.plan.tasks) setImmediate(() => this.measure());
  }

  /** A task goes on. */
  leave(): void {
    this.#gone++;
  }

  /** Reads the memory now. */
  measure(): void {
    const startMs = performance.now() - this.#startedAt;
    const overlapped = this.#gone > 0;
    const now = read();
    const { tasks } = this.plan;
    this.#finding = {
      tasks,
      heapBytesPerTask: (now.heap - this.#before.heap) / tasks,
      residentBytesPerTask: (now.resident - this.#before.resident) / tasks,
      startMs,
      wallMs: 0,
      overlapped,
    };
    this.#resolveMeasured();
  }

  /** Prints the finding. `wall` is true if all tasks have come to their end by themselves. */
  print({ wall }: { readonly wall: boolean }): void {
    if (wall && this.#gone !== this.plan.tasks) throw new Error(`${this.#gone} tasks have ended`);
    const wallMs = wall ? performance.now() - this.#startedAt : 0;
    console.log(JSON.stringify({ ...this.#finding, wallMs }));
  }
}

interface Reading {
  readonly heap: number;
  readonly resident: number;
}

function read(): Reading {
  globalThis.gc?.();
  globalThis.gc?.(); // what the first one has finalised is free after the second
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}
