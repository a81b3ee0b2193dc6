// The main chart: what the same work costs, as a multiple of promises written by hand, on a scale
// where each step is ten times as much. One panel for each case.

import { type Implementation, isGuest, reference, titleOf } from "../contenders.ts";
import type { Report } from "../main.ts";
import type { CaseResult } from "../rounds.ts";
import { captionOf } from "./caption.ts";
import { bar, drawCard, line, type Style, text } from "./svg.ts";

/** The cases that the chart shows, with the title of the panel; the table has the others. */
const panels: Readonly<Record<string, string>> = {
  "spawn-task": "Start a task, await it",
  "spawn-group": "Start a task in a group",
  switch: "Let the others run: sleep(0)",
  timers: "Set a timeout, cancel it",
  "queue-1-1": "One item through a queue",
  "queue-100-100": "The same, 100 on each side",
  lock: "A lock that 1,000 tasks want",
  cancel: "Cancel a task that waits",
  map: "One item of a bounded map",
};

const columns = 3;
const margin = 24;
const gap = 28;
const width = 960;
const panelWidth = (width - 2 * margin - (columns - 1) * gap) / columns;
const headHeight = 84;
const titleHeight = 24;
const rowHeight = 17;
const nameWidth = 104;
/** Room at the right of the bars for "1,234×". */
const valueWidth = 50;

/** The SVG; undefined if none of its cases was measured. */
export function drawRatios(report: Report): string | undefined {
  const shown = Object.keys(panels).flatMap((name) => {
    return report.cases.filter((found) => found.name === name);
  });
  if (shown.length === 0) return undefined;
  const highest = Math.max(...shown.flatMap(ratiosOf), 10);
  const lowest = Math.min(...shown.flatMap(ratiosOf), 1);
  const scale = scaleFor(lowest, highest);

  const shapes = heading();
  let y = headHeight;
  for (let first = 0; first < shown.length; first += columns) {
    const row = shown.slice(first, first + columns);
    for (const [column, result] of row.entries())
      shapes.push(...drawPanel(result, margin + column * (panelWidth + gap), y, scale));
    const rows = Math.max(...row.map(({ results }) => Object.keys(results).length));
    y += titleHeight + rows * rowHeight + gap;
  }
  shapes.push(text(margin, y, captionOf(report), "faint"));
  const description = `What the same work costs, as a multiple of hand-written promises. ${captionOf(report)}`;
  return drawCard({ width, height: y + 18, description }, shapes);
}

function heading(): string[] {
  const shapes = [
    text(margin, 34, "What it costs, against promises written by hand (= 1)", "title"),
  ];
  const legend: readonly (readonly [Style, string])[] = [
    ["ours", "asyncio-ts"],
    ["native", "native promises"],
    ["other", "JavaScript libraries"],
    ["guest", "Python and Go"],
  ];
  let x = margin;
  for (const [style, label] of legend) {
    shapes.push(bar(x, 48, 10, 10, style), text(x + 15, 57, label, "small"));
    x += 32 + label.length * 6.2;
  }
  const note = "logarithmic; shorter is cheaper";
  shapes.push(text(width - margin, 57, note, "faint", "end"));
  return shapes;
}

interface Scale {
  readonly position: (ratio: number) => number;
  readonly ticks: readonly number[];
}

function scaleFor(lowest: number, highest: number): Scale {
  const room = panelWidth - nameWidth - valueWidth;
  const from = Math.log10(lowest);
  const to = Math.log10(highest);
  const position = (ratio: number): number => {
    return nameWidth + ((Math.log10(ratio) - from) / (to - from)) * room;
  };
  const ticks = [0.1, 1, 10, 100, 1000].filter((tick) => tick >= lowest && tick <= highest);
  return { position, ticks };
}

function drawPanel(result: CaseResult, x: number, y: number, { position, ticks }: Scale): string[] {
  const rows = Object.entries(result.results);
  const top = y + titleHeight - 10;
  const bottom = top + rows.length * rowHeight;
  const shapes = [text(x, y, panels[result.name] ?? result.name, "strong")];
  for (const tick of ticks) {
    const at = x + position(tick);
    shapes.push(line([at, top], [at, bottom], tick === 1 ? "base" : "grid"));
  }
  for (const [index, [name, { ratio }]] of rows.entries()) {
    const baseline = top + index * rowHeight + 12;
    const [start, end] = [position(1), position(ratio)].toSorted((a, b) => a - b) as [
      number,
      number,
    ];
    const style = styleOf(name as Implementation);
    const label = style === "ours" ? "strong" : "small";
    const title = name === "ours" ? "asyncio-ts" : titleOf(name).replace("ours", "asyncio-ts");
    shapes.push(text(x + nameWidth - 8, baseline, shorten(title), label, "end"));
    if (name === reference) shapes.push(bar(x + position(1) - 1, baseline - 9.5, 3, 11, style));
    else shapes.push(bar(x + start, baseline - 9.5, Math.max(end - start, 2), 11, style));
    shapes.push(text(x + Math.max(end, position(1)) + 5, baseline, formatRatio(ratio), label));
  }
  return shapes;
}

function styleOf(implementation: Implementation): Style {
  if (implementation.startsWith("ours")) return "ours";
  if (implementation === reference) return "native";
  return isGuest(implementation) ? "guest" : "other";
}

function shorten(title: string): string {
  return title.replace("asyncio-ts (Semaphore)", "with Semaphore");
}

/** "1.2×", "34×", "1,234×". */
function formatRatio(ratio: number): string {
  if (ratio === 1) return "1";
  if (ratio < 0.95) return `${ratio.toFixed(2)}×`;
  return `${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio).toLocaleString("en")}×`;
}

function ratiosOf({ results }: CaseResult): number[] {
  return Object.values(results).map(({ ratio }) => ratio);
}
