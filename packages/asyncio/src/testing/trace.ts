/**
 * The steps of one run, for people: a column for each task, a row for each step, the places marked
 * that differ from FIFO.
 */

import { nameOfFlow } from "./decider.ts";

interface Row {
  readonly flow: object;
  /** Who would have been next, if another one was chosen. */
  readonly instead: string | undefined;
  readonly lines: string[];
}

/** Wider tables are shown as a list. */
const MOST_COLUMNS = 5;
const COLUMN_WIDTH = 34;
/**
 * Steps shown before and after each deviation, and at the end; others are left out of long tables.
 */
const AROUND = 6;
const MOST_ROWS = 60;

export class TraceLog {
  readonly #rows: Row[] = [];

  /** A step begins. */
  step(flow: object, text: string, instead: string | undefined): void {
    this.#rows.push({ flow, instead, lines: [text] });
  }

  /** Something happens in the step that runs. */
  note(text: string, site: string): void {
    const line = site === "" ? text : `${text}  ${site}`;
    const row = this.#rows.at(-1);
    if (row !== undefined) row.lines.push(line);
  }

  /** The table. */
  format(): string {
    const rows = this.#rows;
    const flows = [...new Set(rows.map(({ flow }) => flow))];
    const shown = this.#shownRows();
    const names = flows.map(nameOfFlow);
    const isTable = flows.length <= MOST_COLUMNS;
    const text: string[] = isTable ? [head(names)] : [];
    let before = -1;
    for (const index of shown) {
      const row = rows[index] as Row; // one of its indexes
      const skipped = index - before - 1;
      before = index;
      if (skipped > 0) text.push(`      ... ${skipped} steps, first in, first out`);
      const name = nameOfFlow(row.flow);
      if (row.instead !== undefined)
        text.push(`  --- switch: ${quote(row.instead)} was next, ${quote(name)} goes first`);
      const column = isTable ? flows.indexOf(row.flow) : 0;
      const lines = isTable ? row.lines : row.lines.map((line) => `${name}: ${line}`);
      lines.forEach((line, place) => {
        text.push(formatLine(place === 0 ? String(index + 1) : "", column, line));
      });
    }
    return text.join("\n");
  }

  /** The indexes of the rows that are shown. */
  #shownRows(): number[] {
    const all = this.#rows.map((_, index) => index);
    if (all.length <= MOST_ROWS) return all;
    const marks = all.filter((index) => this.#rows[index]?.instead !== undefined);
    marks.push(all.length - 1);
    return all.filter((index) => marks.some((mark) => Math.abs(mark - index) <= AROUND));
  }
}

function head(names: readonly string[]): string {
  return formatCells("step", names);
}

function formatLine(number: string, column: number, line: string): string {
  return formatCells(number, [...Array.from({ length: column }, () => ""), line]);
}

function formatCells(number: string, cells: readonly string[]): string {
  const padded = cells.map((cell, index) =>
    index < cells.length - 1 ? cell.padEnd(COLUMN_WIDTH) : cell,
  );
  return `${number.padStart(4)}  ${padded.join("  ")}`.trimEnd();
}

function quote(name: string): string {
  return JSON.stringify(name);
}
