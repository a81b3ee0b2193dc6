/** COPY, both ways: an async iterable goes in, an async iterable comes out. */

import { types } from "node:util";
import { CancelScope, cleanup, Future, InvalidStateError } from "asyncio-ts";
import { interruption, park, type Wait } from "asyncio-ts/lowlevel";
import type { Loan } from "asyncio-ts/patterns";
import type { CopySink, Statement } from "./driver.ts";
import { DatabaseError } from "./errors.ts";
import { OneReader } from "./one-reader.ts";
import { argumentError } from "./options.ts";
import type { Session } from "./session.ts";

/** What goes into a copy: lines with their ends, or bytes. */
export type CopySource = AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/** Bytes that wait for a consumer of `copyTo`; above, the server is not read. */
const ROOM = 262_144;

/** @internal Runs a copy into a table; gives the number of rows. */
export async function copyIn(
  session: Session,
  { text, values }: Statement,
  title: string,
  source: CopySource,
  owner?: object,
): Promise<number> {
  checkNoValues("`copyFrom`", values);
  if (!isSource(source))
    throw argumentError("`copyFrom`", "an iterable of texts or bytes as its source", source);
  const sink = new Future<CopySink>();
  const request = {
    kind: "copyIn",
    text,
    ready: (made: CopySink) => sink.setResult(made),
  } as const;
  // A branch of the caller's: what cancels the one cancels the other. Its own scope is for a copy
  // that the server has refused.
  const feeding = new CancelScope();
  let failure: { readonly error: unknown } | undefined;
  const fed = feeding
    .run(() => feed(sink, source))
    .catch((error: unknown) => {
      failure = { error };
    });
  try {
    const answers = await session.send(request, { title, owner });
    if (!sink.done()) throw noCopy("`copyFrom`", "copy ... from stdin", title);
    await fed;
    return answers.find(({ command }) => command === "COPY")?.count ?? 0;
  } catch (error) {
    feeding.cancel("the copy has ended");
    await fed;
    const isItsEnd = failure !== undefined && session.options.dialect.isCancelled(error);
    throw isItsEnd ? failure?.error : error;
  }
}

async function feed(ready: Future<CopySink>, source: CopySource): Promise<void> {
  const sink = await ready;
  try {
    for await (const chunk of source) {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      // Anything else would be read as a message of the protocol.
      if (!types.isUint8Array(bytes))
        throw argumentError("`copyFrom`", "a source of texts or bytes", chunk);
      if (!sink.write(bytes)) await drained(sink);
    }
    sink.end();
  } catch (error) {
    sink.fail(error instanceof Error ? error.message : "the source has failed");
    throw error;
  }
}

async function drained(sink: CopySink): Promise<void> {
  const stop = interruption("copy");
  if (stop !== undefined) await stop;
  const wait = park<void>("room for a copy");
  sink.drained(() => wait.resume());
  await wait.promise;
}

/** @internal The bytes of a copy out of a table. */
export function copyOut(
  borrow: () => Promise<Loan<Session>>,
  giveBack: (loan: Loan<Session>) => void,
  { text, values }: Statement,
  title: string,
): AsyncIterableIterator<Uint8Array, undefined> {
  checkNoValues("`copyTo`", values);
  return new CopyOut(borrow, giveBack, text, title);
}

class CopyOut implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #borrow: () => Promise<Loan<Session>>;
  readonly #giveBack: (loan: Loan<Session>) => void;
  readonly #text: string;
  readonly #title: string;
  #loan: Loan<Session> | undefined = undefined;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;
  #end: { readonly error: unknown } | undefined = undefined;
  #waiting: Wait<void> | undefined = undefined;
  readonly #reader: OneReader;
  /** True once the loop was left. */
  #isLeft = false;

  constructor(
    borrow: () => Promise<Loan<Session>>,
    giveBack: (loan: Loan<Session>) => void,
    text: string,
    title: string,
  ) {
    this.#borrow = borrow;
    this.#giveBack = giveBack;
    this.#text = text;
    this.#title = title;
    this.#reader = new OneReader(title);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#reader.read(() => this.#next());
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#loan === undefined && this.#end === undefined) {
      await this.#begin();
      if (this.#isLeft) await this.return();
    }
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#size -= chunk.length;
        if (this.#size < ROOM / 2) this.#loan?.item.connection.resume?.();
        return { done: false, value: chunk };
      }
      if (this.#end !== undefined) return this.#finish();
      const stop = interruption(this.#title);
      if (stop !== undefined) await stop;
      this.#waiting = park<void>(this.#title);
      try {
        await this.#waiting.promise;
      } catch (error) {
        await this.return();
        throw error;
      }
    }
  }

  /** Leaving the loop: the server ends the copy, and that is waited for. */
  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#chunks.length = 0;
    this.#size = Number.NEGATIVE_INFINITY; // nothing is kept any more
    this.#isLeft = true;
    const session = this.#loan?.item;
    // The call that waits for a connection gives it back.
    if (session === undefined && this.#reader.isReading) return { done: true, value: undefined };
    if (session !== undefined && this.#end === undefined) {
      session.connection.resume?.();
      session.abandon(this, () => new InvalidStateError(`${this.#title} was left`));
      await ended(session);
    }
    this.#end ??= { error: undefined };
    this.#release();
    return { done: true, value: undefined };
  }

  async #begin(): Promise<void> {
    const loan = await this.#borrow();
    this.#loan = loan;
    const { connection } = loan.item;
    const request = {
      kind: "copyOut",
      text: this.#text,
      chunk: (bytes: Uint8Array) => {
        if (this.#size === Number.NEGATIVE_INFINITY) return;
        this.#chunks.push(Uint8Array.from(bytes)); // the host uses its buffer again
        this.#size += bytes.length;
        if (this.#size > ROOM) connection.pause?.();
        this.#waiting?.resume();
      },
    } as const;
    const over = (error: unknown): void => {
      this.#end ??= { error };
      this.#waiting?.resume();
    };
    // Its end, whichever way, is told to the next call of `next`.
    loan.item.send(request, { title: this.#title, owner: this }).then((answers) => {
      const hasCopied = answers.some(({ command }) => command === "COPY");
      over(hasCopied ? undefined : noCopy("`copyTo`", "copy ... to stdout", this.#title));
    }, over);
  }

  #finish(): IteratorResult<Uint8Array, undefined> {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    this.#release();
    if (error !== undefined && !this.#isLeft) throw error;
    return { done: true, value: undefined };
  }

  #release(): void {
    const loan = this.#loan;
    this.#loan = undefined;
    if (loan !== undefined) this.#giveBack(loan);
  }
}

/** Waits until nothing runs on a session; a cancelled task waits, too. */
async function ended(session: Session): Promise<void> {
  await cleanup(2 * session.options.grace, async () => {
    if (!session.isBusy) return;
    const wait = park<void>("the end of a copy");
    session.whenIdle(() => wait.resume());
    await wait.promise;
  });
}

function isSource(source: unknown): boolean {
  if (typeof source === "string") return true;
  if (typeof source !== "object" || source === null) return false;
  return Symbol.iterator in source || Symbol.asyncIterator in source;
}

function noCopy(api: string, expected: string, title: string): DatabaseError {
  const message = `${api} expects a \`${expected}\`, and ${JSON.stringify(title)} has run as something else`;
  return new DatabaseError(message, { query: title });
}

function checkNoValues(api: string, values: readonly unknown[]): void {
  if (values.length === 0) return;
  throw argumentError(
    api,
    "a COPY without values",
    values,
    "PostgreSQL takes none there: put what is trusted in by `sql.raw`, and names by `sql.id`",
  );
}
