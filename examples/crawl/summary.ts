// The summary at the end: what was loaded, what failed and why, and what concurrency has gained.
//
// Pure functions from a report to lines of text, so that they can be printed after a crawl that has
// finished as well as in the `finally` of one that was interrupted.

import { styleText } from "node:util";
import type { FailureRecord, Report } from "./report.ts";

/** How the crawl has ended. */
export type Ending = "finished" | "limit reached" | "interrupted";

export interface SummaryFacts {
  readonly start: URL;
  readonly ending: Ending;
  readonly workers: number;
  readonly perHost: number;
  /** What the bundled site knows of itself: the latencies of all its pages, added up. */
  readonly siteLatency: number | undefined;
}

/** A line of the table: what, how much, and a remark. */
type Row = readonly [label: string, value: string, remark?: string | undefined];

const slowestShown = 5;
const labelWidth = 22;
const valueWidth = 10;

/** The summary as text. `stream` is where it goes: it decides about bold headings. */
export function summarise(
  report: Report,
  facts: SummaryFacts,
  stream: NodeJS.WritableStream,
): string {
  const sections: (readonly [heading: string, rows: readonly Row[]])[] = [
    [headingOf(facts), totals(report)],
    [`Failures: ${report.failures.length}`, failuresByKind(report.failures)],
    ["Slowest pages", slowestPages(report)],
    ["Requests by host", hosts(report, facts)],
    ["Time", times(report, facts)],
  ];
  const lines = sections.flatMap(([heading, rows]) => {
    if (rows.length === 0) return [];
    return ["", styleText("bold", heading, { stream }), ...rows.map(formatRow)];
  });
  const notes = report.notes.map((note) => `Note: ${note}`);
  if (notes.length > 0) lines.push("", ...notes);
  return `${lines.join("\n")}\n`;
}

/** Why a crawl that has loaded nothing at all has not. */
export function explainEmptyCrawl(report: Report, start: URL): string {
  const [failure] = report.failures;
  if (failure !== undefined)
    return `${failure.url} could not be loaded: ${failure.failure.message}`;
  if (report.disallowed.length > 0) return `${start.href} is closed to crawlers by robots.txt`;
  const [elsewhere] = report.offSite;
  if (elsewhere !== undefined) return `${start.href} leads to another site. Try ${elsewhere}`;
  return `${start.href} is not an HTML page`;
}

function headingOf({ start, ending }: SummaryFacts): string {
  switch (ending) {
    case "finished":
      return `Crawl of ${start.href} finished`;
    case "limit reached":
      return `Crawl of ${start.href} ended at its limit`;
    case "interrupted":
      return `Crawl of ${start.href} interrupted`;
  }
}

function totals(report: Report): Row[] {
  const bytes = report.pages.reduce((sum, page) => sum + page.bytes, 0);
  const unfinished = report.found - report.visited;
  const rows: Row[] = [
    ["pages", String(report.pages.length), formatBytes(bytes)],
    ["requests", String(report.requests), `${report.retries} of them retries`],
    ["redirects", String(report.redirects)],
    ["not HTML", String(report.otherContent)],
    ["closed by robots.txt", String(report.disallowed.length), report.disallowed[0]],
    ["on other sites", String(report.offSite.size), [...report.offSite][0]],
    ["unfinished", String(unfinished)],
  ];
  return rows.filter(([label, value]) => value !== "0" || label === "pages");
}

function failuresByKind(failures: readonly FailureRecord[]): Row[] {
  const byKind = Map.groupBy(failures, ({ failure }) => failure.kind);
  const rows = [...byKind].map(
    ([kind, records]): Row => [kind, String(records.length), exampleOf(records)],
  );
  return rows.sort(
    (one, other) => Number(other[1]) - Number(one[1]) || one[0].localeCompare(other[0]),
  );
}

function exampleOf(records: readonly FailureRecord[]): string {
  const [first] = records;
  if (first === undefined) return "";
  return records.length === 1 ? first.url : `for example ${first.url}`;
}

function slowestPages(report: Report): Row[] {
  const slowest = report.pages
    .toSorted((one, other) => other.seconds - one.seconds)
    .slice(0, slowestShown);
  return slowest.map(({ url, seconds }) => ["", formatSeconds(seconds), url]);
}

function hosts(report: Report, { perHost }: SummaryFacts): Row[] {
  return report.hosts.map(({ name, requests, mostAtOnce }) => {
    return [name, String(requests), `at most ${mostAtOnce} at once, ${perHost} allowed`];
  });
}

function times(report: Report, { ending, workers, siteLatency }: SummaryFacts): Row[] {
  const wallSeconds = report.elapsedSeconds();
  const gain = report.requestSeconds / wallSeconds;
  const rows: Row[] = [
    ["wall time", formatSeconds(wallSeconds)],
    [
      "requests, added up",
      formatSeconds(report.requestSeconds),
      gain > 1 ? `${gain.toFixed(1)} times the wall time, with ${workers} workers` : undefined,
    ],
  ];
  if (siteLatency !== undefined && ending === "finished") {
    rows.push([
      "latencies of the site",
      formatSeconds(siteLatency),
      "every page once; hanging and dripping ones left out",
    ]);
  }
  return rows;
}

function formatRow([label, value, remark]: Row): string {
  const line = `  ${label === "" ? "" : label.padEnd(labelWidth)}${value.padStart(valueWidth)}`;
  return remark === undefined || remark === "" ? line : `${line}  ${remark}`;
}

function formatSeconds(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
