// Where figures go: a JSON file, charts, and with --publish the tables in README.md.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawGrowth } from "./drawing/growth-chart.ts";
import { drawRatios } from "./drawing/ratio-chart.ts";
import { drawTraffic } from "./drawing/traffic-chart.ts";
import type { Report } from "./main.ts";
import { inThisFolder } from "./program.ts";
import {
  formatCases,
  formatEcho,
  formatEnd,
  formatFairness,
  formatFetches,
  formatGrowth,
  formatIdle,
  formatMachine,
  formatMemory,
  formatSummary,
  formatTimerHeap,
  formatTraffic,
  formatUnequal,
  formatWeight,
} from "./report.ts";

export function writeJson(report: Report, file: string): void {
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
}

/** Writes what charts there can be for what was measured. */
export function writeCharts(report: Report, folder: string): void {
  const charts = {
    "ratios.svg": drawRatios(report),
    "growth.svg": drawGrowth(report),
    "traffic.svg": drawTraffic(report),
  };
  mkdirSync(folder, { recursive: true });
  for (const [name, chart] of Object.entries(charts))
    if (chart !== undefined) writeFileSync(join(folder, name), chart);
}

/** Puts a full run into the repository. The charts are shown by README.md here and in the root. */
export function publish(report: Report): void {
  writeJson(report, inThisFolder("results.json"));
  writeCharts(report, inThisFolder("charts"));
  const page = inThisFolder("README.md");
  writeFileSync(page, replaceTables(readFileSync(page, "utf8"), report));
}

/**
 * Replaces what is between `<!-- figures: NAME -->` and `<!-- end -->` in a page. What the report
 * does not have is said to be missing: figures of another run must not stand beside those of this
 * one.
 *
 * @throws Error when a name is none.
 */
export function replaceTables(page: string, report: Report): string {
  const blocks = blocksOf(report);
  return page.replaceAll(
    /(<!-- figures: (\S+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_match, start: string, name: string, end: string) => {
      if (!(name in blocks)) throw new Error(`the page asks for the figures "${name}"`);
      const block = blocks[name] ?? "Not measured in this run.";
      return `${start}\n${block}\n\n${end}`;
    },
  );
}

const trafficChart = "![What comes through in a second, against bare node:net](charts/traffic.svg)";

function blocksOf(report: Report): Readonly<Record<string, string | undefined>> {
  const { machine, date, load, demonstrations } = report;
  const { growth, memory, weight, echo, idle, traffic, fetches, timerHeap, fairness } =
    demonstrations;
  const where = `${formatMachine(machine, date)}\nLoad average ${load.before.toFixed(2)} before the start. ${formatEnd(report)}`;
  return {
    machine: `\`\`\`text\n${where}\n\`\`\``,
    summary: formatSummary(report.cases),
    cases: formatCases(report.cases),
    unequal: formatUnequal(report.cases),
    growth: growth && formatGrowth(growth),
    memory: memory && formatMemory(memory),
    weight: weight && formatWeight(weight),
    echo: echo && formatEcho(echo),
    idle: idle && formatIdle(idle),
    traffic: traffic && `${trafficChart}\n\n${formatTraffic(traffic)}`,
    fetches: fetches && formatFetches(fetches),
    "timer-heap": timerHeap && formatTimerHeap(timerHeap),
    fairness: fairness && formatFairness(fairness),
  };
}
