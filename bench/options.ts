// The command line of the benchmarks.

import { parseArgs } from "node:util";
import { cases } from "./cases.ts";
import { demonstrationNames } from "./demonstrations.ts";

export interface Options {
  /** Names of cases and demonstrations; all if there are none. */
  readonly only: readonly string[];
  readonly quick: boolean;
  readonly rounds: number;
  /** Where the figures go as JSON. */
  readonly json: string | undefined;
}

const names: readonly string[] = [...cases.map(({ name }) => name), ...demonstrationNames];

export const usage = `Usage: npm run bench [-- [options]]
       node bench/main.ts [options]

Measures asyncio-ts against bare promises and the libraries used today: each case
in fresh processes, the implementations in turn, several rounds. The whole takes
some seven minutes.

  --only NAME   measure only this, or what begins with it ("queue"); repeatable
  --rounds N    processes per case and implementation, 1 to 100 (default: 5)
  --quick       everything once and tiny, to see that it works; a few seconds
  --json FILE   write the figures to FILE as well
  --help        print this text

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
  const { only, rounds, quick, json, help } = parseValues(args);
  if (help) return "help";
  return { only: only.flatMap(namesFrom), quick, rounds: numberOfRounds(rounds, quick), json };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string", multiple: true, default: [] },
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "string" },
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

function numberOfRounds(text: string | undefined, quick: boolean): number {
  if (text === undefined) return quick ? 1 : 5;
  const rounds = Number(text);
  if (/^[0-9]+$/.test(text) && rounds >= 1 && rounds <= 100) return rounds;
  throw new UsageError(`--rounds expects a whole number from 1 to 100, found "${text}"`);
}
