// The third chart: how much comes through in a second, as a part of what bare `node:net` does in
// the same round. One row for each kind of traffic; the mark on it is what ours has to reach.

import { type Implementation, reference, titleOf } from "../contenders.ts";
import type { Report } from "../main.ts";
import { medianInterval } from "../statistics.ts";
import type { TrafficResult } from "../traffic.ts";
import { captionOf } from "./caption.ts";
import { bar, drawCard, line, type Style, text, widthOf } from "./svg.ts";

const width = 960;
const margin = 24;
const headHeight = 92;
const barHeight = 9;
const gap = 8;
const padding = 7;
/** Beside native, in the order in which their bars stand. */
const shown: readonly (readonly [Implementation, Style])[] = [
  ["ours", "ours"],
  ["uvloop", "guest"],
];

/** The SVG; undefined if traffic was not measured. */
export function drawTraffic(report: Report): string | undefined {
  const { traffic } = report.demonstrations;
  if (traffic === undefined || traffic.length === 0) return undefined;
  const shares = traffic.flatMap((row) => shown.map(([by]) => shareOf(row, by) ?? 0));
  const highest = Math.max(...shares, 1);
  const names = Math.max(...traffic.map(({ what }) => widthOf(what))) + padding;
  const values = Math.max(...shares.map((share) => widthOf(formatShare(share), "small"))) + padding;
  const left = margin + names;
  const room = width - margin - values - left;
  const across = (share: number): number => left + (share / highest) * room;

  const shapes = heading();
  const top = headHeight - 8;
  let y = headHeight;
  const rows: string[] = [];
  for (const row of traffic) {
    const bars = shown.flatMap(([by, style]) => {
      const share = shareOf(row, by);
      return share === undefined ? [] : [{ share, style }];
    });
    const height = Math.max(bars.length, 1) * (barHeight + 2);
    rows.push(text(left - padding, y + height / 2 + 4, row.what, "text", "end"));
    for (const [index, { share, style }] of bars.entries()) {
      const at = y + index * (barHeight + 2);
      rows.push(bar(left, at, across(share) - left, barHeight, style));
      const value = formatShare(share);
      rows.push(text(width - margin, at + barHeight - 0.5, value, "small", "end"));
    }
    rows.push(line([across(row.aim), y - 2], [across(row.aim), y + height], "base"));
    y += height + gap;
  }
  for (const tick of [0.5, 1, 1.5, 2].filter((share) => share <= highest))
    shapes.push(line([across(tick), top], [across(tick), y - gap], tick === 1 ? "base" : "grid"));
  shapes.push(...rows, text(margin, y + 12, captionOf(report), "faint"));
  const description = `How much comes through in a second, as a part of bare node:net. ${captionOf(report)}`;
  return drawCard({ width, height: y + 30, description }, shapes);
}

function heading(): string[] {
  const title = "What comes through in a second, against bare node:net (= 1)";
  const shapes = [text(margin, 34, title, "title")];
  let x = margin;
  for (const [by, style] of shown) {
    const label = by === "ours" ? "asyncio-ts" : titleOf(by);
    shapes.push(bar(x, 48, 10, 10, style), text(x + 15, 57, label, "small"));
    x += 32 + widthOf(label, "small");
  }
  const note = "longer is faster; the mark on each row is what asyncio-ts has to reach";
  shapes.push(text(width - margin, 57, note, "faint", "end"));
  return shapes;
}

/** The median of the rounds; undefined if it did not take part. */
function shareOf({ rounds }: TrafficResult, by: Implementation): number | undefined {
  const shares = (rounds[by] ?? []).map((rate, round) => rate / (rounds[reference]?.[round] ?? 0));
  const { median } = shares.length === 0 ? { median: Number.NaN } : medianInterval(shares);
  return Number.isFinite(median) ? median : undefined;
}

function formatShare(share: number): string {
  return share.toFixed(2);
}
