// No label of a chart is cut off, and none lies on another, whatever the figures are. Widths are
// those of the widest font that may be used.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { cases, implementationsOf } from "../cases.ts";
import { growthSeries } from "../growth.ts";
import type { Report } from "../main.ts";
import { inThisFolder } from "../program.ts";
import { drawGrowth } from "./growth-chart.ts";
import { drawPatterns } from "./patterns-chart.ts";
import { drawRatios } from "./ratio-chart.ts";
import { type Style, widthOf } from "./svg.ts";
import { drawTraffic } from "./traffic-chart.ts";

/** What the charts look at, with everybody there, and figures as wide as they come. */
const report = {
  date: "2026-11-28T10:51:28.904Z",
  effort: { quick: true },
  machine: {
    processor: "AMD EPYC 9R14 96-Core Processor",
    cores: 192,
    node: "v24.21.0",
    revision: "b21c597f3-dirty",
  },
  cases: cases.map((subject) => ({
    ...subject,
    results: Object.fromEntries(
      implementationsOf(subject).map((name, index) => [
        name,
        { ratio: [1, 4321, 0.02][index % 3] },
      ]),
    ),
  })),
  demonstrations: {
    growth: growthSeries.map(({ name, operation, by }) => ({
      name,
      operation,
      lines: Object.fromEntries(
        by.map((implementation) => [
          implementation,
          [1000, 10_000, 100_000, 1_000_000].map((count) => ({
            count,
            nanosecondsPerOperation: 123_456,
          })),
        ]),
      ),
    })),
    traffic: [
      "echo of 64 KiB, 1,000 at a time",
      "Redis-like: SET, 16 at a time on each of 50",
      "lines of 80 bytes, one after the other",
    ].flatMap((what) =>
      [0.02, 0.9, 1, 2.37].map((share) => ({
        what,
        unit: "commands/s",
        aim: 0.9,
        rounds: { native: [100], ours: [100 * share], uvloop: [100 / share] },
      })),
    ),
  },
} as unknown as Report; // nothing else of a report is drawn

const page = readFileSync(inThisFolder("README.md"), "utf8");

for (const [name, chart = ""] of Object.entries({
  ratios: drawRatios(report),
  growth: drawGrowth(report),
  traffic: drawTraffic(report),
  patterns: drawPatterns(page),
})) {
  describe(`the chart of ${name}`, () => {
    const width = Number(/viewBox="0 0 (\d+) /.exec(chart)?.[1]);
    const texts = textsIn(chart);

    it("has its texts inside of the card", () => {
      const outside = texts.filter(({ left, right }) => left < 4 || right > width - 4);

      assert.ok(texts.length > 30);
      assert.deepEqual(outside, []);
    });

    it("has no text on another", () => {
      const pairs = texts.flatMap((text, index) =>
        texts.slice(index + 1).map((other) => [text, other] as const),
      );
      const overlapping = pairs.filter(
        ([one, other]) => one.y === other.y && one.left < other.right && other.left < one.right,
      );

      assert.deepEqual(overlapping, []);
    });
  });
}

it("the chart of patterns is that of the tables of the page", () => {
  assert.equal(readFileSync(inThisFolder("charts/patterns.svg"), "utf8"), drawPatterns(page));
});

interface Text {
  readonly content: string;
  readonly y: number;
  readonly left: number;
  readonly right: number;
}

function textsIn(chart: string): Text[] {
  const found = chart.matchAll(
    /<text class="(\w+)" x="([\d.]+)" y="([\d.]+)"(?: text-anchor="(\w+)")?>([^<]*)<\/text>/g,
  );
  return [...found].map(([, style, x, y, anchor = "start", content = ""]) => {
    const width = widthOf(content, style as Style); // it was written as one
    const share = { start: 0, middle: 0.5, end: 1 }[anchor] ?? 0;
    const left = Number(x) - share * width;
    return { content, y: Number(y), left, right: left + width };
  });
}
