// The second chart: does one operation cost the same among a thousand as among a million? One panel
// for each series, the cost from zero upwards: a flat line is what is wanted, and one that bends up
// stands out.

import type { GrowthResult } from "../growth.ts";
import type { Report } from "../main.ts";
import { captionOf } from "./caption.ts";
import { curve, drawCard, line, type Style, text } from "./svg.ts";

const columns = 3;
const width = 960;
const margin = 24;
const gap = 36;
const panelWidth = (width - 2 * margin - (columns - 1) * gap) / columns;
const plotHeight = 120;
const axisWidth = 48;
const headHeight = 78;
const panelHeight = 34 + plotHeight + 54;

/** The SVG; undefined if growth was not measured. */
export function drawGrowth(report: Report): string | undefined {
  const { growth } = report.demonstrations;
  if (growth === undefined) return undefined;
  const shapes = [
    text(margin, 34, "How costs grow: nanoseconds for one operation, among n", "title"),
    text(
      margin,
      54,
      "asyncio-ts in blue; in grey native promises and timers where they can do it",
      "faint",
    ),
  ];
  for (const [index, series] of growth.entries()) {
    const x = margin + (index % columns) * (panelWidth + gap);
    const y = headHeight + Math.floor(index / columns) * panelHeight;
    shapes.push(...drawPanel(series, x, y));
  }
  const height = headHeight + Math.ceil(growth.length / columns) * panelHeight + 10;
  shapes.push(text(margin, height - 14, captionOf(report), "faint"));
  return drawCard({ width, height, description: `How costs grow. ${captionOf(report)}` }, shapes);
}

function drawPanel({ name, operation, lines }: GrowthResult, x: number, y: number): string[] {
  const points = Object.values(lines).flat();
  const counts = [...new Set(points.map(({ count }) => count))];
  const highest = roundUp(Math.max(...points.map((point) => point.nanosecondsPerOperation)));
  const [left, right] = [x + axisWidth, x + panelWidth - 10];
  const top = y + 34;
  const bottom = top + plotHeight;
  const across = (count: number): number => {
    const [first = 1, last = 10] = [counts[0], counts.at(-1)];
    const share = Math.log10(count / first) / Math.log10(last / first);
    return left + share * (right - left);
  };
  const up = (value: number): number => bottom - (value / highest) * plotHeight;

  const shapes = [text(x, y, name, "strong"), text(x, y + 16, operation, "faint")];
  for (const share of [0, 0.5, 1]) {
    const at = up(share * highest);
    shapes.push(line([left, at], [right, at], share === 0 ? "base" : "grid"));
    const label = Math.round(share * highest).toLocaleString("en");
    shapes.push(text(left - 8, at + 4, label, "faint", "end"));
  }
  for (const count of counts)
    shapes.push(text(across(count), bottom + 17, shortCount(count), "faint", "middle"));
  // Ours last, so that it lies on top.
  for (const [implementation, found] of Object.entries(lines).toReversed()) {
    const style: Style = implementation === "ours" ? "ours" : "native";
    const path = found.map(({ count, nanosecondsPerOperation }) => {
      return [across(count), up(nanosecondsPerOperation)] as const;
    });
    shapes.push(curve(path, style));
  }
  return shapes;
}

/** The next of 1, 2, 5, 10, 20, 50, ... */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

function shortCount(count: number): string {
  if (count >= 1_000_000) return `${count / 1_000_000}M`;
  return count >= 1000 ? `${count / 1000}k` : String(count);
}
