/**
 * What each contender is told, by its first argument, and what it says, a line of JSON each.
 *
 * - `load`: `count` pages, `concurrency` at a time, without politeness. Says `{ seconds, times, rss }`:
 *   milliseconds of each page, and the most memory in KiB.
 * - `timeout`: `count` handlers that read a page which never ends, and as many that ask for a
 *   page ten times a second for ever. Each has one second. Says `{ ended: true }` when the tool has
 *   told that all have ended, and goes on living.
 * - `cancel`: the same without a time. All of it is stopped at a line of the input, in the way that
 *   the tool's documentation has for "at once".
 * - `polite`: the pages in `urls`, by the settings that a new program has. Says `{ ended: true }`.
 */

export type Scenario = "load" | "timeout" | "cancel" | "polite";

export interface Plan {
  readonly scenario: Scenario;
  readonly count: number;
  readonly concurrency: number;
  /** The address of each site, such as `http://127.0.1.3:40001`. */
  readonly base: Readonly<Record<"load" | "ticks" | "never" | "rules", string>>;
  readonly urls: readonly string[];
  /** For a program with a resolver of its own. */
  readonly farm: {
    readonly zone: Readonly<Record<string, readonly string[]>>;
    readonly range: string;
    readonly port: number;
  };
}

export interface Load {
  readonly seconds: number;
  readonly times: readonly number[];
  readonly rss: number;
}
