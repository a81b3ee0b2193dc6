/**
 * The wire to a PGlite, as `pg` wants it: bytes of the protocol go in, and the answers come out.
 * There is no network, and nobody to let in: the greeting is answered here.
 */

import { Duplex } from "node:stream";

/** What is asked of a PGlite. */
export interface Pglite {
  /** Takes messages of the protocol, and gives the answers to them. */
  execProtocolRaw(messages: Uint8Array): Promise<Uint8Array>;
}

/** Those that have failed, and why. One more message, and their program runs without an end. */
const ended = new WeakMap<Pglite, Error>();

/** Why a PGlite takes no more messages; undefined if it does. */
export function endOf(pglite: Pglite): Error | undefined {
  return ended.get(pglite);
}

/** One session. What an earlier one has left open is undone at its beginning. */
export class PgliteWire extends Duplex {
  readonly #pglite: Pglite;
  readonly #reset: string;
  readonly #gone: () => void;
  #isGreeted = false;

  constructor(pglite: Pglite, reset: string, gone: () => void) {
    super();
    this.#pglite = pglite;
    this.#reset = reset;
    this.#gone = gone;
  }

  // What `pg` asks of a socket.
  connect(): this {
    process.nextTick(() => this.emit("connect"));
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#take(chunk).then(() => done(), done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#take(Buffer.concat(chunks.map(({ chunk }) => chunk))).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#gone();
    done(error);
  }

  async #take(messages: Buffer): Promise<void> {
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      await this.#ask(query("rollback"));
      await this.#ask(query(this.#reset));
      this.push(GREETING);
      return;
    }
    if (messages[0] === TERMINATE) {
      this.push(null);
      this.destroy();
      return;
    }
    const answers = await this.#ask(messages);
    if (!this.destroyed) this.push(Buffer.from(answers));
  }

  async #ask(messages: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#pglite.execProtocolRaw(messages);
    } catch (thrown) {
      // What the database refuses it answers. It throws when its program has ended, and then not
      // always an Error.
      const why = (thrown as Partial<Error> | null | undefined)?.message ?? String(thrown);
      const error = new Error(`the PGlite has ended: ${why}`, { cause: thrown });
      Object.assign(error, { code: "EPIPE" }); // pg's own errors have none, and say less
      ended.set(this.#pglite, error);
      throw error;
    }
  }
}

const TERMINATE = 88; // X

/** Let in; the number and the key of a process that nobody can cancel; ready. */
const GREETING: Buffer = Buffer.concat([
  message("R", Buffer.alloc(4)),
  message("K", Buffer.alloc(8)),
  message("Z", Buffer.from("I")),
]);

function query(text: string): Buffer {
  return message("Q", Buffer.from(`${text}\0`));
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
