/**
 * Messages to the server, put together in one buffer, so that whatever belongs together is one write:
 * parse, bind, describe, execute and sync of a query, or BEGIN and the first query behind it.
 */

/** Bytes of a buffer that is kept for the next packet; a larger one goes with what is in it. */
const KEPT = 8192;

/** Messages that are being put together. */
export class Packet {
  #bytes: Buffer = Buffer.allocUnsafeSlow(KEPT);
  #end = 0;

  /** What was put together. It is empty then. */
  take(): Buffer {
    const bytes = this.#bytes;
    const end = this.#end;
    this.#end = 0;
    if (bytes.length === KEPT) return Buffer.from(bytes.subarray(0, end));
    this.#bytes = Buffer.allocUnsafeSlow(KEPT);
    return bytes.subarray(0, end);
  }

  /** Drops what was put together. */
  clear(): void {
    this.#end = 0;
  }

  /** Statements without values, in one message, which brings its own ReadyForQuery. */
  query(text: string): void {
    const start = this.#begin(QUERY);
    this.#cstring(text);
    this.#finish(start);
  }

  parse(name: string, text: string): void {
    const start = this.#begin(PARSE);
    this.#cstring(name);
    this.#cstring(text);
    this.#int16(0); // the server finds out the types of the values
    this.#finish(start);
  }

  /** @param values - text, bytes, or null */
  bind(portal: string, statement: string, values: readonly (string | Buffer | null)[]): void {
    const start = this.#begin(BIND);
    this.#cstring(portal);
    this.#cstring(statement);
    const hasBytes = values.some((value) => typeof value === "object" && value !== null);
    this.#int16(hasBytes ? values.length : 0); // none: all are text
    if (hasBytes)
      for (const value of values) this.#int16(typeof value === "object" && value !== null ? 1 : 0);
    this.#int16(values.length);
    for (const value of values) this.#value(value);
    this.#int16(0); // answers are text
    this.#finish(start);
  }

  /** Asks for the columns of a portal. */
  describe(portal: string): void {
    this.#named(DESCRIBE, PORTAL, portal);
  }

  /** @param rows - how many at most; 0 for all */
  execute(portal: string, rows: number): void {
    const start = this.#begin(EXECUTE);
    this.#cstring(portal);
    this.#int32(rows);
    this.#finish(start);
  }

  closePortal(name: string): void {
    this.#named(CLOSE, PORTAL, name);
  }

  closeStatement(name: string): void {
    this.#named(CLOSE, STATEMENT, name);
  }

  /** The end of what belongs together: the server answers with ReadyForQuery. */
  sync(): void {
    this.#finish(this.#begin(SYNC));
  }

  copyData(bytes: Uint8Array): void {
    const start = this.#begin(COPY_DATA);
    this.#raw(bytes);
    this.#finish(start);
  }

  copyDone(): void {
    this.#finish(this.#begin(COPY_DONE));
  }

  copyFail(reason: string): void {
    const start = this.#begin(COPY_FAIL);
    this.#cstring(reason);
    this.#finish(start);
  }

  // --- pieces

  /** A message of this kind; its length comes at its end. */
  #begin(kind: number): number {
    this.#reserve(5);
    this.#bytes[this.#end] = kind;
    this.#end += 5;
    return this.#end - 4;
  }

  #finish(start: number): void {
    this.#bytes.writeInt32BE(this.#end - start, start);
  }

  #named(kind: number, of: number, name: string): void {
    const start = this.#begin(kind);
    this.#reserve(1);
    this.#bytes[this.#end++] = of;
    this.#cstring(name);
    this.#finish(start);
  }

  #value(value: string | Buffer | null): void {
    if (value === null) {
      this.#int32(-1);
      return;
    }
    const start = this.#end;
    this.#int32(0);
    if (typeof value === "string") this.#text(value);
    else this.#raw(value);
    this.#bytes.writeInt32BE(this.#end - start - 4, start);
  }

  #cstring(text: string): void {
    this.#text(text);
    this.#reserve(1);
    this.#bytes[this.#end++] = 0;
  }

  #text(text: string): void {
    this.#reserve(3 * text.length); // as much as UTF-8 can take
    if (text.length < SHORT && this.#ascii(text)) return;
    this.#end += this.#bytes.write(text, this.#end);
  }

  /** Writes a short text, unless there is more in it than ASCII: quicker than a call of the host. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 127) return false;
      bytes[end + index] = unit;
    }
    this.#end = end + text.length;
    return true;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #int16(value: number): void {
    this.#reserve(2);
    this.#bytes[this.#end++] = value >>> 8;
    this.#bytes[this.#end++] = value;
  }

  #int32(value: number): void {
    this.#reserve(4);
    this.#end = this.#bytes.writeInt32BE(value, this.#end);
  }

  #reserve(count: number): void {
    const needed = this.#end + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Characters up to which a text is written one by one. */
const SHORT = 40;

const code = (letter: string): number => letter.charCodeAt(0);
const QUERY = code("Q");
const PARSE = code("P");
const BIND = code("B");
const DESCRIBE = code("D");
const EXECUTE = code("E");
const CLOSE = code("C");
const SYNC = code("S");
const COPY_DATA = code("d");
const COPY_DONE = code("c");
const COPY_FAIL = code("f");
const PORTAL = code("P");
const STATEMENT = code("S");
