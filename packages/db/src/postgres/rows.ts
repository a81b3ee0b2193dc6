/** Rows of an answer, made of the bytes that the server sends. */

import type { Parsers } from "../driver.ts";
import { type Parser, readInteger, type TypeTable } from "./values.ts";
import type { WireField } from "./wire.ts";

/** Makes rows of what the server sends, for one list of columns. */
export class RowReader {
  readonly fields: readonly WireField[];
  readonly #parsers: readonly (Parser | undefined)[];
  readonly #arrays: boolean;
  /** An object with all columns: copies of it share one shape. */
  readonly #empty: Readonly<Record<string, unknown>>;

  constructor(
    fields: readonly WireField[],
    types: Pick<TypeTable, "parserOf">,
    own?: Parsers | undefined,
    arrays?: boolean | undefined,
  ) {
    this.fields = fields;
    this.#parsers = fields.map(({ type }) =>
      own === undefined ? types.parserOf(type) : own(type),
    );
    this.#arrays = arrays === true;
    this.#empty = Object.fromEntries(fields.map(({ name }) => [name, null]));
  }

  /** The row of a DataRow whose fields begin at `start`. */
  read(bytes: Buffer, start: number): unknown {
    const { fields } = this;
    const cells: unknown[] = [];
    const row: Record<string, unknown> = this.#arrays ? {} : { ...this.#empty };
    const count = bytes.readInt16BE(start); // as many as there are columns
    let at = start + 2;
    for (let index = 0; index < count; index++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      let value: unknown = null;
      if (length >= 0) {
        value = this.#value(bytes, at, at + length, index);
        at += length;
      }
      if (this.#arrays) cells.push(value);
      else row[(fields[index] as WireField).name] = value;
    }
    return this.#arrays ? cells : row;
  }

  #value(bytes: Buffer, at: number, end: number, index: number): unknown {
    const parser = this.#parsers[index];
    if (parser === readInteger) return integerIn(bytes, at, end);
    const text = bytes.toString("utf8", at, end);
    return parser === undefined ? text : parser(text);
  }
}

/** What `readInteger` makes of the text, without the text. */
function integerIn(bytes: Buffer, start: number, end: number): number {
  const isNegative = bytes[start] === MINUS;
  let value = 0;
  for (let at = isNegative ? start + 1 : start; at < end; at++)
    value = 10 * value + (bytes[at] as number) - ZERO; // it is in range
  return isNegative ? -value : value;
}

const MINUS = 45;
const ZERO = 48;
