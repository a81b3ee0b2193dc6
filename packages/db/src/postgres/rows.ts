/** Rows of an answer, made of what the server sends. */

import type { Parsers } from "../driver.ts";
import type { WireField } from "./shape.ts";
import type { Parser, TypeTable } from "./values.ts";

/** Makes rows of what the server sends, for one list of columns. */
export class RowReader {
  readonly fields: readonly { readonly name: string; readonly type: number }[];
  readonly #parsers: readonly (Parser | undefined)[];
  readonly #arrays: boolean;
  /** An object with all columns: copies of it share one shape. */
  readonly #empty: Readonly<Record<string, unknown>>;

  constructor(
    fields: readonly WireField[],
    types: TypeTable,
    own?: Parsers | undefined,
    arrays?: boolean | undefined,
  ) {
    this.fields = fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }));
    this.#parsers = this.fields.map(({ type }) =>
      own === undefined ? types.parserOf(type) : own(type),
    );
    this.#arrays = arrays === true;
    this.#empty = Object.fromEntries(this.fields.map(({ name }) => [name, null]));
  }

  read(cells: readonly (string | null)[]): unknown {
    if (this.#arrays) return cells.map((cell, index) => this.#value(cell, index));
    const row: Record<string, unknown> = { ...this.#empty };
    for (let index = 0; index < cells.length; index++) {
      const cell = cells[index] as string | null; // as many as there are columns
      row[(this.fields[index] as { name: string }).name] = this.#value(cell, index);
    }
    return row;
  }

  #value(cell: string | null, index: number): unknown {
    if (cell === null) return null;
    const parser = this.#parsers[index];
    return parser === undefined ? cell : parser(cell);
  }
}
