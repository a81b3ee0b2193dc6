/**
 * What is told about each query: to the `onQuery` of its database, and to whoever listens on
 * node:diagnostics_channel. One object tells of a query, and is filled in when the query has ended:
 *
 *     tracing:asyncio-ts-db:query:start      when it is asked for, in the caller's async context
 *     asyncio-ts-db:query, onQuery           when it has ended, unless it never left the line
 *     tracing:asyncio-ts-db:query:asyncEnd   when it has ended
 *
 * Where nobody listens nothing is made.
 */

import { channel } from "node:diagnostics_channel";
import { currentTask, getRunningLoop, type Task } from "asyncio-ts";
import { taskPath } from "asyncio-ts/lowlevel";

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
  /** The names of that task and of those that it is part of, from the outermost on. */
  readonly path: readonly string[];
  /** The connection. A span has "" until the query has one. */
  readonly connection: string;
  /** "cancelled" if the server has ended it because it was asked to. */
  readonly outcome: "ok" | "failed" | "cancelled";
  /** What it has failed with. */
  readonly error: unknown;
}

/** What the tracing channels have: a query from the moment on in which it is asked for. */
export interface QuerySpan extends Omit<QueryReport, "outcome"> {
  /** As in a report; "running" until it has ended. */
  readonly outcome: QueryReport["outcome"] | "running";
}

/** How a request has ended. */
export type QueryEnd = Pick<QueryReport, "seconds" | "rows" | "outcome" | "error">;

const reports = channel("asyncio-ts-db:query");
// The names that node's `tracingChannel("asyncio-ts-db:query")` subscribes to.
const [start, end, failure, asyncStart, asyncEnd] = (
  ["start", "end", "error", "asyncStart", "asyncEnd"] as const
).map((event) => channel(`tracing:asyncio-ts-db:query:${event}`)) as [
  Channel,
  Channel,
  Channel,
  Channel,
  Channel,
];
type Channel = ReturnType<typeof channel>;

/** Tells of one query. */
export class Reporter {
  readonly #told: ((report: QueryReport) => void) | undefined;
  readonly #span: { -readonly [Key in keyof QuerySpan]: QuerySpan[Key] };

  /** Begins to tell of a query; undefined if nobody listens. Called where it is asked for. */
  static open(
    told: ((report: QueryReport) => void) | undefined,
    database: string,
    name: string,
  ): Reporter | undefined {
    const isHeard =
      told !== undefined ||
      reports.hasSubscribers ||
      start.hasSubscribers ||
      asyncEnd.hasSubscribers;
    return isHeard ? new Reporter(told, currentTask(), database, name) : undefined;
  }

  private constructor(
    told: ((report: QueryReport) => void) | undefined,
    task: Task<unknown> | undefined,
    database: string,
    name: string,
  ) {
    this.#told = told;
    const path = task === undefined ? [] : taskPath(task).map((one) => one.getName());
    this.#span = {
      ...{ database, name, seconds: 0, rows: 0, task: path.at(-1), path, connection: "" },
      ...{ outcome: "running", error: undefined },
    };
    start.publish(this.#span);
    end.publish(this.#span); // of the call, says node: the query itself ends with "asyncEnd"
  }

  /** It is sent on a connection. */
  runsOn(connection: string): void {
    this.#span.connection = connection;
  }

  /** It has ended on the server. What listeners throw is reported. */
  close(how: QueryEnd): void {
    const report = Object.assign(this.#span, how) as QueryReport;
    this.#finish();
    reports.publish(report);
    try {
      this.#told?.(report);
    } catch (exception) {
      getRunningLoop().callExceptionHandler({ message: "`onQuery` has failed", exception });
    }
  }

  /** It has left the line, and was never sent. */
  drop(outcome: "cancelled" | "failed", error: unknown): void {
    Object.assign(this.#span, { outcome, error });
    this.#finish();
  }

  #finish(): void {
    if (this.#span.error !== undefined) failure.publish(this.#span);
    asyncStart.publish(this.#span);
    asyncEnd.publish(this.#span);
  }
}
