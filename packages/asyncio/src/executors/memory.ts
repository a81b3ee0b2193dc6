/**
 * What a pool and one of its threads share: the states of the jobs that were sent, and a ring with
 * the results that are plain values.
 *
 * A job that was sent has a slot. Who changes the word in it first decides, so a job that was taken
 * back never starts, and one that has started is known to have:
 *
 *     sent ──the thread takes it──▶ started ──the pool asks it to end──▶ asked
 *       └────the pool takes it back──▶ revoked
 *
 * The word is the number of the job and its state. One with the number of an earlier job says that
 * this one was only sent: so nobody has to write that down. One with the number of a later job says
 * that this one is over. So a slot may be used again at once, whatever still lies in the thread
 * under an old number. The number says which slot it is; the pool uses none that is taken, and the
 * jobs of a slot have numbers that follow each other.
 *
 * The ring makes small jobs cheap: a result that waits in it costs no message. The thread sends one
 * that wakes the pool up, and no second one until that has been heard. A result is there for the
 * pool as soon as its job is done, however long the next job takes.
 */

const WOKEN = 0;
const HEAD = 1;
const TAIL = 2;
/** Changes whenever something was sent that a thread in `Atomics.wait` shall hear of. */
const BELL = 3;
/** Megabytes that the thread has in use, as it has looked last. */
const MEGABYTES = 4;
/** The job whose function was called and has not returned; 0 if there is none. */
const IN_CALL = 5;
const FIRST_SLOT = 8; // even, as SLOTS is: the ring begins at a multiple of 8 bytes
/** A thread never has as many jobs under way. */
export const SLOTS = 1024;
/** Units of 8 bytes. */
const RING_UNITS = 8192;
const RING_BYTES = (FIRST_SLOT + SLOTS) * 4;
const LONGEST_TEXT = 512;

const STARTED = 1;
const ASKED = 2;
const REVOKED = 3;

/** The greatest number of a job that fits into a word together with its state. */
export const LAST_SEQ: number = 2 ** 29 - 1;

/** The slot of the job, among `SLOTS`. */
export function slotOf(seq: number): number {
  return seq % SLOTS;
}

/** The number of the job that has the slot after `seq`. They begin anew when none fits any more. */
export function nextSeq(seq: number): number {
  return seq + SLOTS > LAST_SEQ ? slotOf(seq) + SLOTS : seq + SLOTS;
}

/** Whether the word is of this job, or of one that had its slot later. */
function isKnown(word: number, seq: number): boolean {
  return (((word >>> 2) - seq) & LAST_SEQ) <= LAST_SEQ / 2;
}

const enumerated = [undefined, null, false, true] as const;
const NUMBER = 4;
const TEXT = 5;
const SKIP = 6;

export class SharedMemory {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #ring: Int32Array;
  readonly #numbers: Float64Array;
  readonly #bytes: Buffer;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(RING_BYTES + RING_UNITS * 8);
    this.words = new Int32Array(this.buffer, 0, FIRST_SLOT + SLOTS);
    this.#ring = new Int32Array(this.buffer, RING_BYTES);
    this.#numbers = new Float64Array(this.buffer, RING_BYTES);
    this.#bytes = Buffer.from(this.buffer, RING_BYTES);
  }

  // --- the pool's side

  /** True if the job was taken back before it has started. */
  revoke(seq: number): boolean {
    return this.#change(seq, REVOKED);
  }

  /** Asks a job that has started to end. */
  ask(seq: number): void {
    Atomics.compareExchange(this.words, wordOf(seq), seq * 4 + STARTED, seq * 4 + ASKED);
    this.ring();
  }

  hasStarted(seq: number): boolean {
    const word = Atomics.load(this.words, wordOf(seq));
    return word === seq * 4 + STARTED || word === seq * 4 + ASKED;
  }

  /** Wakes a thread that waits for an answer. */
  ring(): void {
    Atomics.add(this.words, BELL, 1);
    Atomics.notify(this.words, BELL);
  }

  /** Whether the thread is inside the very call of the job, and in nothing that came after it. */
  isInCall(seq: number): boolean {
    return Atomics.load(this.words, IN_CALL) === seq;
  }

  get megabytes(): number {
    return Atomics.load(this.words, MEGABYTES);
  }

  /** Calls back with each result that lies in the ring: the number of its job, seconds, value. */
  drain(take: (seq: number, seconds: number, value: unknown) => void): void {
    do {
      this.#drainOnce(take);
      Atomics.store(this.words, WOKEN, 0); // from here on, the next result is a message
    } while (Atomics.load(this.words, HEAD) !== Atomics.load(this.words, TAIL));
  }

  #drainOnce(take: (seq: number, seconds: number, value: unknown) => void): void {
    let head = Atomics.load(this.words, HEAD);
    for (let tail = Atomics.load(this.words, TAIL); head !== tail; ) {
      const seq = this.#ring[head * 2] as number;
      const shape = this.#ring[head * 2 + 1] as number;
      const kind = shape & 7;
      if (kind === SKIP) head = 0;
      else {
        const seconds = this.#numbers[head + 1] as number;
        const length = shape >> 3;
        const value = this.#read(kind, head + 2, length);
        head = (head + 2 + unitsOf(kind, length)) % RING_UNITS;
        Atomics.store(this.words, HEAD, head);
        take(seq, seconds, value);
      }
    }
  }

  #read(kind: number, unit: number, length: number): unknown {
    if (kind === NUMBER) return this.#numbers[unit];
    if (kind === TEXT) return this.#bytes.toString("utf16le", unit * 8, unit * 8 + length * 2);
    return enumerated[kind];
  }

  // --- the thread's side

  /** True if the job may start; false if it was taken back. */
  start(seq: number): boolean {
    return this.#change(seq, STARTED);
  }

  /** From sent to `state`; false if the other side was first. */
  #change(seq: number, state: number): boolean {
    const place = wordOf(seq);
    for (;;) {
      const word = Atomics.load(this.words, place);
      if (isKnown(word, seq)) return false;
      if (Atomics.compareExchange(this.words, place, word, seq * 4 + state) === word) return true;
    }
  }

  /** What the word of the job is when it was asked to end. */
  static asked(seq: number): number {
    return seq * 4 + ASKED;
  }

  get bell(): number {
    return Atomics.load(this.words, BELL);
  }

  /** Waits in the call until the bell has rung since it was at `before`. */
  waitForBell(before: number): void {
    Atomics.wait(this.words, BELL, before);
  }

  setInCall(seq: number): void {
    Atomics.store(this.words, IN_CALL, seq);
  }

  setMegabytes(megabytes: number): void {
    Atomics.store(this.words, MEGABYTES, Math.round(megabytes));
  }

  /** Whether the pool is not about to take results out of the ring. */
  get isQuiet(): boolean {
    return Atomics.load(this.words, WOKEN) === 0;
  }

  /** Puts a result into the ring; undefined if it does not go there. Gives if a message is due. */
  publish(seq: number, seconds: number, value: unknown): boolean | undefined {
    const kind = kindOf(value);
    if (kind === undefined) return undefined;
    const length = kind === TEXT ? (value as string).length : 0;
    const units = 2 + unitsOf(kind, length);
    const head = Atomics.load(this.words, HEAD);
    let tail = Atomics.load(this.words, TAIL);
    if ((head - tail - 1 + RING_UNITS) % RING_UNITS < units) return undefined;
    if (tail + units > RING_UNITS) {
      if (head <= units) return undefined; // the record goes to the beginning, if there is room
      this.#ring[tail * 2 + 1] = SKIP;
      tail = 0;
    }
    this.#ring[tail * 2] = seq;
    this.#ring[tail * 2 + 1] = kind | (length << 3);
    this.#numbers[tail + 1] = seconds;
    if (kind === NUMBER) this.#numbers[tail + 2] = value as number;
    if (kind === TEXT) this.#bytes.write(value as string, (tail + 2) * 8, "utf16le");
    Atomics.store(this.words, TAIL, (tail + units) % RING_UNITS);
    return Atomics.exchange(this.words, WOKEN, 1) === 0;
  }
}

/** Where the word of the job is. */
export function wordOf(seq: number): number {
  return FIRST_SLOT + slotOf(seq);
}

function kindOf(value: unknown): number | undefined {
  if (typeof value === "number") return NUMBER;
  if (typeof value === "string") return value.length <= LONGEST_TEXT ? TEXT : undefined;
  const place = enumerated.indexOf(value as undefined);
  return place === -1 ? undefined : place;
}

/** Units of the value itself. */
function unitsOf(kind: number, length: number): number {
  if (kind === NUMBER) return 1;
  return kind === TEXT ? Math.ceil(length / 4) : 0;
}
