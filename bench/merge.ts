// Puts the reports of several runs together, so that a whole run can be made in parts: a machine
// that others use is quiet for some minutes, and not for twenty.

import { readFileSync } from "node:fs";
import type { Report } from "./main.ts";
import { UsageError } from "./options.ts";

export function readReports(files: readonly string[]): Report[] {
  return files.map((file) => {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as Report; // `--json` has written it
    } catch (error) {
      throw new UsageError(`--merge expects files that --json has written, ${String(error)}`);
    }
  });
}

/**
 * One report of what each of them has measured. The parts are of one revision, on one machine, with
 * one effort, and none has measured what another one has.
 *
 * @throws {UsageError} if they are not.
 */
export function mergeReports(reports: readonly Report[]): Report {
  const [first] = reports;
  if (first === undefined) throw new UsageError("--merge expects a file or more");
  const seen = new Set<string>();
  for (const report of reports) {
    for (const field of ["formatVersion", "machine", "effort"] as const)
      if (JSON.stringify(report[field]) !== JSON.stringify(first[field]))
        throw new UsageError(`--merge expects runs of the same ${field}, found two`);
    const names = [...report.cases.map(({ name }) => name), ...Object.keys(report.demonstrations)];
    for (const name of names) {
      if (seen.has(name)) throw new UsageError(`--merge found "${name}" in two of the runs`);
      seen.add(name);
    }
  }
  return {
    ...first,
    date: reports.map(({ date }) => date).toSorted()[0] ?? first.date,
    seconds: reports.reduce((sum, { seconds }) => sum + seconds, 0),
    load: {
      before: Math.max(...reports.map(({ load }) => load.before)),
      after: Math.max(...reports.map(({ load }) => load.after)),
    },
    cases: reports.flatMap(({ cases }) => cases),
    demonstrations: Object.assign({}, ...reports.map(({ demonstrations }) => demonstrations)),
  };
}
