// The main chart: what the same work costs, as a multiple of promises written by hand, on a scale
// where each step is ten times as much. One panel for each case.

import { type Implementation, isGuest, reference, titleOf } from "../contenders.ts";
import type { Report } from "../main.ts";
import type { CaseResult } from "../rounds.ts";
import { captionOf } from "./caption.ts";
import { bar, drawCard, legend, line, type Style, text, widthOf } from "./svg.ts";

/** The cases that the chart shows, with the title of the panel; the table has the others. */
const panels: Readonly<Record<string, string>> = {
  "spawn-task": "Start a task, await it",
  "spawn-group": "Start a task in a group",
  "spawn-eager": "The same, started in the call",
  switch: "Let the others run: sleep(0)",
  timers: "Set a timeout, cancel it",
  latch: "Wake one of 100, by one thing",
  "queue-1-1": "One item through a queue",
  "queue-100-100": "The same, 100 on each side",
  "condition-notify-all": "Wake one of 100, with a lock",
  "cancel-1": "Cancel a task that waits, alone",
  "cancel-16": "The same, 16 at a time",
  cancel: "The same, 100,000 at a time",
  "cancel-together": "One of a group of 100,000",
  lock: "A lock that 1,000 tasks want",
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
/** Between a name or a figure and the bar beside it. */
const padding = 7;

/** The SVG; undefined if none of its cases was measured. */
export function drawRatios(report: Report): string | undefined {
  const shown = Object.keys(panels).flatMap((name) => {
    return report.cases.filter((found) => found.name === name);
  });
  if (shown.length === 0) return undefined;
  const highest = Math.max(...shown.flatMap(ratiosOf), 10);
  const lowest = Math.min(...shown.flatMap(ratiosOf), 1);
  const widest = (label: (result: CaseResult, name: Implementation) => string): number => {
    const texts = shown.flatMap((result) => {
      return namesOf(result).map((name) => widthOf(label(result, name), labelStyle(name)));
    });
    return Math.max(...texts) + padding;
  };
  const scale = scaleFor(lowest, highest, {
    name: widest(labelOf),
    value: widest(({ results }, name) => formatRatio(results[name]?.ratio ?? 1)),
  });

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
    ...legend(margin, [
      ["ours", "asyncio-ts"],
      ["native", "native promises"],
      ["other", "JavaScript libraries"],
      ["guest", "Python and Go"],
    ]),
  ];
  const note = "logarithmic; shorter is cheaper; * does other work, see the page";
  shapes.push(text(width - margin, 57, note, "faint", "end"));
  return shapes;
}

interface Scale {
  /** Where the bars begin. */
  readonly nameWidth: number;
  readonly position: (ratio: number) => number;
  readonly ticks: readonly number[];
}

/** @param widths - Room for the names at the left of the bars, and the figures at their right. */
function scaleFor(
  lowest: number,
  highest: number,
  widths: { readonly name: number; readonly value: number },
): Scale {
  const { name: nameWidth, value: valueWidth } = widths;
  const room = panelWidth - nameWidth - valueWidth;
  const from = Math.log10(lowest);
  const to = Math.log10(highest);
  const position = (ratio: number): number => {
    return nameWidth + ((Math.log10(ratio) - from) / (to - from)) * room;
  };
  const ticks = [0.1, 1, 10, 100, 1000].filter((tick) => tick >= lowest && tick <= highest);
  return { nameWidth, position, ticks };
}

function drawPanel(result: CaseResult, x: number, y: number, scale: Scale): string[] {
  const { nameWidth, position, ticks } = scale;
  const rows = namesOf(result);
  const top = y + titleHeight - 10;
  const bottom = top + rows.length * rowHeight;
  const shapes = [text(x, y, panels[result.name] ?? result.name, "strong")];
  for (const tick of ticks) {
    const at = x + position(tick);
    shapes.push(line([at, top], [at, bottom], tick === 1 ? "base" : "grid"));
  }
  for (const [index, name] of rows.entries()) {
    const ratio = result.results[name]?.ratio ?? 1;
    const baseline = top + index * rowHeight + 12;
    const [start, end] = [position(1), position(ratio)].toSorted((a, b) => a - b) as [
      number,
      number,
    ];
    const style = styleOf(name);
    const label = labelStyle(name);
    shapes.push(text(x + nameWidth - padding, baseline, labelOf(result, name), label, "end"));
    if (name === reference) shapes.push(bar(x + position(1) - 1, baseline - 9.5, 3, 11, style));
    else shapes.push(bar(x + start, baseline - 9.5, Math.max(end - start, 2), 11, style));
    shapes.push(
      text(x + Math.max(end, position(1)) + padding - 2, baseline, formatRatio(ratio), label),
    );
  }
  return shapes;
}

function styleOf(implementation: Implementation): Style {
  if (implementation.startsWith("ours")) return "ours";
  if (implementation === reference) return "native";
  return isGuest(implementation) ? "guest" : "other";
}

function labelStyle(name: Implementation): Style {
  return styleOf(name) === "ours" ? "strong" : "small";
}

/** "asyncio-ts", "with Semaphore", "Bluebird *". */
function labelOf({ unequal }: CaseResult, name: Implementation): string {
  const title =
    name === "ours" ? "asyncio-ts" : titleOf(name).replace(/^ours \((\w+)\)$/, "with $1");
  return unequal?.[name] === undefined ? title : `${title} *`;
}

function namesOf({ results }: CaseResult): Implementation[] {
  return Object.keys(results) as Implementation[]; // that is what it has
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
