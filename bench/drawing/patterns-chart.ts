// The chart of the patterns: what one operation takes, in a panel for each table of the page that
// has times. It is drawn from the page, so the two cannot say different things.

import { bar, drawCard, legend, line, text, widthOf } from "./svg.ts";

/** The tables that are shown, with the title of the panel. */
const panels: Readonly<Record<string, string>> = {
  jobs: "A job, 100,000 of them in line",
  deadlines: "The same, with a deadline for each",
  pool: "A loan, 100 want one of 10 things",
  "jobs-in-a-semaphore": "A job, 5,000 of them in line",
  broadcast: "An item to 10 subscribers",
  channel: "An item to one receiver",
};

const columns = 2;
const margin = 24;
const gap = 32;
const width = 960;
const panelWidth = (width - 2 * margin - (columns - 1) * gap) / columns;
const headHeight = 84;
const titleHeight = 24;
const rowHeight = 17;
/** Between a name or a figure and the bar beside it. */
const padding = 7;

interface Row {
  readonly title: string;
  /** With its unit, as the page has it. */
  readonly takes: string;
  /** As a multiple of the first row. */
  readonly ratio: number;
}

/** @param page - With the tables between their marks. */
export function drawPatterns(page: string): string {
  const shown = Object.keys(panels).map((name) => ({ name, rows: rowsOf(page, name) }));
  const all = shown.flatMap(({ rows }) => rows);
  const nameWidth = Math.max(...all.map(({ title }) => widthOf(title, "small"))) + padding;
  const valueWidth = Math.max(...all.map((row) => widthOf(figureOf(row), "small"))) + padding;
  const shapes = heading();
  let y = headHeight;
  for (let first = 0; first < shown.length; first += columns) {
    const beside = shown.slice(first, first + columns);
    for (const [column, { name, rows }] of beside.entries()) {
      const x = margin + column * (panelWidth + gap);
      shapes.push(...drawPanel(panels[name] ?? "", rows, x, y, nameWidth, valueWidth));
    }
    y += titleHeight + Math.max(...beside.map(({ rows }) => rows.length)) * rowHeight + gap;
  }
  const machine = /<!-- bench:patterns jobs -->[\s\S]*?^(Node .*?), \d+ rounds/m.exec(page)?.[1];
  shapes.push(text(margin, y - 8, machine ?? "", "faint"));
  const description = "What jobs, loans and items cost with asyncio-ts and with the libraries";
  return drawCard({ width, height: y + 10, description }, shapes);
}

function rowsOf(page: string, name: string): Row[] {
  const [, table = ""] = page.split(`<!-- bench:patterns ${name} -->\n`);
  const [body = ""] = table.split("<!-- end -->");
  const cells = body
    .split("\n")
    .filter((row) => row.startsWith("|"))
    .map((row) => row.split("|").map((cell) => cell.trim().replaceAll("`", "")));
  const rows = cells.slice(2); // behind the header and its line
  return rows.map(([, title = "", takes = "", ratio]) => ({ title, takes, ratio: Number(ratio) }));
}

const figureOf = ({ takes, ratio }: Row): string => `${takes}, ${ratio.toFixed(2)}`;

function heading(): string[] {
  const shapes = [
    text(margin, 34, "What one operation takes, and as a multiple of ours", "title"),
    ...legend(margin, [
      ["ours", "asyncio-ts"],
      ["other", "the libraries that it replaces"],
    ]),
  ];
  const note = "shorter is cheaper; each panel has a scale of its own; the line is ours";
  shapes.push(text(width - margin, 57, note, "faint", "end"));
  return shapes;
}

function drawPanel(
  title: string,
  rows: readonly Row[],
  x: number,
  y: number,
  nameWidth: number,
  valueWidth: number,
): string[] {
  const left = x + nameWidth;
  const room = panelWidth - nameWidth - valueWidth;
  const longest = Math.max(...rows.map(({ ratio }) => ratio), 1);
  const across = (ratio: number): number => (ratio / longest) * room;
  const top = y + titleHeight - 10;
  const end = top + rows.length * rowHeight;
  const shapes = [text(x, y, title, "strong")];
  for (const [index, row] of rows.entries()) {
    const at = top + index * rowHeight;
    const style = /^(TaskQueue|mapAll|Pool|Broadcast|channel)/.test(row.title) ? "ours" : "other";
    shapes.push(
      text(left - padding, at + 12, row.title, "small", "end"),
      bar(left, at + 3, across(row.ratio), rowHeight - 6, style),
      text(x + panelWidth, at + 12, figureOf(row), "small", "end"),
    );
  }
  const ours = left + across(1);
  return [...shapes, line([ours, top], [ours, end], "base")];
}
