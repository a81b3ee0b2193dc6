// What the load generator tells: a line that moves, and a summary.

import type { Tally } from "./load.ts";

export function progressLine(tally: Tally): string {
  const { latency, elapsed } = tally;
  const perSecond = elapsed === 0 ? 0 : latency.count / elapsed;
  const parts = [
    `${elapsed.toFixed(0)} s`,
    `${latency.count} answers`,
    `${perSecond.toFixed(0)}/s`,
    `p99 ${duration(latency.percentile(99))}`,
    `${failures(tally)} failures`,
  ];
  return parts.join(" · ");
}

export function summary(tally: Tally): string {
  const { latency, elapsed, errors } = tally;
  const rows: [string, string][] = [
    ["answers", String(latency.count)],
    ["per second", (elapsed === 0 ? 0 : latency.count / elapsed).toFixed(1)],
    ["mean", duration(latency.mean)],
    ...[50, 90, 99, 99.9].map((percent): [string, string] => [
      `p${percent}`,
      duration(latency.percentile(percent)),
    ]),
    ["most", duration(latency.most)],
    ...[...errors].map(([what, count]): [string, string] => [what, `${count} times`]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)}${value}\n`).join("");
}

function failures({ errors }: Tally): number {
  return [...errors.values()].reduce((sum, count) => sum + count, 0);
}

function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 0.001
    ? `${(seconds * 1000).toFixed(1)} ms`
    : `${(seconds * 1e6).toFixed(0)} us`;
}
