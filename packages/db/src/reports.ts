/**
 * What is told about each query: to the `onQuery` of its database, and to whoever listens to the
 * channel "asyncio-ts-db:query" of node:diagnostics_channel. Where nobody listens nothing is made.
 */

import { channel } from "node:diagnostics_channel";
import { getRunningLoop } from "asyncio-ts";

/** A request that has ended. */
export interface QueryReport {
  /** The name of the database. */
  readonly database: string;
  /** The name of the query, or the beginning of its text. Values are not in it. */
  readonly name: string;
  /** How long the server and the wire took; the time in line is not counted in. */
  readonly seconds: number;
  /** Rows that were given or changed. */
  readonly rows: number;
  /** The name of the task that has asked for it. */
  readonly task: string | undefined;
  /** The connection. */
  readonly connection: string;
  /** "cancelled" if the server has ended it because it was asked to. */
  readonly outcome: "ok" | "failed" | "cancelled";
  /** What it has failed with. */
  readonly error: unknown;
}

const reports = channel("asyncio-ts-db:query");

/** Tells of a query; `make` is called if anybody listens. What listeners throw is reported. */
export function reportQuery(
  told: ((report: QueryReport) => void) | undefined,
  make: () => QueryReport,
): void {
  if (told === undefined && !reports.hasSubscribers) return;
  const report = make();
  if (reports.hasSubscribers) reports.publish(report);
  try {
    told?.(report);
  } catch (exception) {
    getRunningLoop().callExceptionHandler({ message: "`onQuery` has failed", exception });
  }
}
