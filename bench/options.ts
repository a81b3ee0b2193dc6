// The command line of the benchmarks.

import { parseArgs } from "node:util";
import { cases, implementationsOf } from "./cases.ts";
import { demonstrationNames } from "./demonstrations.ts";

export interface Options {
  /** Names of cases and demonstrations; all if there are none. */
  readonly only: readonly string[];
  /** Whom to measure beside native; everybody if there are none. */
  readonly by: readonly string[];
  readonly quick: boolean;
  readonly rounds: number;
  /** Where the figures go as JSON. */
  readonly json: string | undefined;
  /** Where the charts go. */
  readonly charts: string | undefined;
  /** The figures, the tables and the charts are put into the repository. */
  readonly publish: boolean;
  /** Files that `--json` has written, to be put together instead of measuring. */
  readonly merge: readonly string[];
  /** The revision that the library is compared with, instead of the others. */
  readonly compare: string | undefined;
}

const names: readonly string[] = [...cases.map(({ name }) => name), ...demonstrationNames];
const implementations = new Set<string>(cases.flatMap(implementationsOf));

export const usage = `Usage: npm run bench [-- [options]]
       node bench/main.ts [options]

Measures asyncio-ts against bare promises, the libraries used today, and, where the
machine has Python and Go, asyncio and goroutines: each case in fresh processes, the
implementations in turn, several rounds. The whole takes some ten minutes.

  --only NAME    measure only this, or what begins with it ("queue"); repeatable
  --by NAME      measure only this one beside native ("ours", "effect"); repeatable
  --rounds N     processes per case and implementation, 1 to 100 (default: 3)
  --quick        everything once and tiny, to see that it works; a few seconds
  --json FILE    write the figures to FILE as well
  --charts DIR   write the charts to DIR (ratios.svg, growth.svg, traffic.svg)
  --publish      put figures, tables and charts into the repository: bench/results.json,
                 bench/charts/, and the tables in bench/README.md. A full run only
  --merge FILE   put together what runs with --only have written with --json, instead of
                 measuring: for --publish in parts; repeatable
  --compare REV  compare the library with what it was at REV, in the same cases: which
                 differences are noise? (default: 10 rounds; some eight minutes,
                 less with --only)
  --help         print this text

Names: ${names.slice(0, 5).join(", ")},
       ${names.slice(5, 10).join(", ")},
       ${names.slice(10).join(", ")}

Exit status: 0 done, 1 something failed or two implementations disagree on the
result, 2 wrong arguments.`;

/** Wrong arguments: the user's mistake, not the program's. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads the arguments after the program's name.
 *
 * @throws {UsageError} if they are wrong.
 */
export function parseOptions(args: readonly string[]): Options | "help" {
  const { only, by, rounds, quick, json, charts, publish, merge, compare, help } =
    parseValues(args);
  if (help) return "help";
  const isPart = quick || only.length > 0 || by.length > 0 || compare !== undefined;
  if (merge.length > 0 && isPart) {
    const found = "found it with --quick, --only, --by or --compare";
    throw new UsageError(`--merge stands alone, for nothing is measured: ${found}`);
  }
  if (publish && isPart) {
    const found = "found it with --quick, --only, --by or --compare";
    throw new UsageError(`--publish expects a full run, ${found}`);
  }
  const usual = compare === undefined ? 3 : 10;
  return {
    only: only.flatMap(namesFrom),
    by: by.map(implementationFrom),
    quick,
    rounds: numberOfRounds(rounds, quick ? 1 : usual),
    json,
    charts,
    publish,
    merge,
    compare,
  };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string", multiple: true, default: [] },
        by: { type: "string", multiple: true, default: [] },
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "string" },
        charts: { type: "string" },
        publish: { type: "boolean", default: false },
        merge: { type: "string", multiple: true, default: [] },
        compare: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function namesFrom(start: string): string[] {
  const found = names.filter((name) => name === start || name.startsWith(`${start}-`));
  if (found.length > 0) return found;
  throw new UsageError(`--only expects one of ${names.join(", ")}, found "${start}"`);
}

function implementationFrom(name: string): string {
  if (implementations.has(name)) return name;
  throw new UsageError(`--by expects one of ${[...implementations].join(", ")}, found "${name}"`);
}

function numberOfRounds(text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const rounds = Number(text);
  if (/^[0-9]+$/.test(text) && rounds >= 1 && rounds <= 100) return rounds;
  throw new UsageError(`--rounds expects a whole number from 1 to 100, found "${text}"`);
}
