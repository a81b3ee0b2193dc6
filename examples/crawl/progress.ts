// Live progress: on a terminal one line that is drawn again and again, elsewhere a plain line every
// second.
//
// It is a task like any other, and it has no end of its own: it is cancelled when the crawl is
// over. Its `finally` leaves a clean line behind, whichever way it ends.

import { styleText } from "node:util";
import * as asyncio from "asyncio-ts";
import type { Report } from "./report.ts";

/** The part of `process.stderr` that is used here. */
export interface ProgressOutput extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

interface Part {
  readonly text: string;
  readonly color?: "green" | "red" | "dim";
}

const redrawDelay = 0.1;
const plainDelay = 1;
/**
 * The rate is that of the last seconds: the average since the start would hide that a crawl is
 * stuck.
 */
const rateWindowSeconds = 3;
const clearLine = "\r\u001b[K";

/** Shows how the crawl goes until it is cancelled. */
export async function showProgress(report: Report, output: ProgressOutput): Promise<never> {
  const rate = new Rate(report);
  const isTerminal = output.isTTY === true && process.env.TERM !== "dumb";
  try {
    for (;;) {
      await asyncio.sleep(isTerminal ? redrawDelay : plainDelay);
      const parts = describeProgress(report, rate.pagesPerSecond());
      output.write(isTerminal ? clearLine + drawLine(parts, output) : `${plainLine(parts)}\n`);
    }
  } finally {
    if (isTerminal) output.write(clearLine);
  }
}

function describeProgress(report: Report, pagesPerSecond: number): Part[] {
  const failures = count(report.failures.length, "failure");
  return [
    { text: count(report.pages.length, "page"), color: "green" },
    { text: `${report.inFlight} in flight` },
    report.failures.length > 0 ? { text: failures, color: "red" } : { text: failures },
    { text: `${pagesPerSecond.toFixed(1)} pages/s` },
    { text: `${report.found - report.visited} to do` },
    { text: `${report.elapsedSeconds().toFixed(1)} s`, color: "dim" },
  ];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function plainLine(parts: readonly Part[]): string {
  return parts.map((part) => part.text).join(", ");
}

/**
 * As many parts as fit. A line that is too long would wrap, and then be drawn below itself again
 * and again; the last column stays free because some terminals wrap as soon as it is filled.
 */
function drawLine(parts: readonly Part[], output: ProgressOutput): string {
  let room = (output.columns ?? 80) - 1;
  const drawn: string[] = [];
  for (const { text, color } of parts) {
    room -= text.length + 2;
    if (room < 0) break;
    // styleText leaves the colour out where NO_COLOR is set.
    drawn.push(`  ${color === undefined ? text : styleText(color, text, { stream: output })}`);
  }
  return drawn.join("");
}

class Rate {
  readonly #report: Report;
  #samples: { readonly seconds: number; readonly pages: number }[] = [{ seconds: 0, pages: 0 }];

  constructor(report: Report) {
    this.#report = report;
  }

  pagesPerSecond(): number {
    const latest = { seconds: this.#report.elapsedSeconds(), pages: this.#report.pages.length };
    this.#samples.push(latest);
    const windowStart = latest.seconds - rateWindowSeconds;
    this.#samples = this.#samples.filter(({ seconds }) => seconds >= windowStart);
    const earliest = this.#samples[0] ?? latest;
    return (latest.pages - earliest.pages) / Math.max(latest.seconds - earliest.seconds, 0.001);
  }
}
