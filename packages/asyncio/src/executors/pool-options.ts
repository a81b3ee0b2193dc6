/** What pools take. */

import {
  argumentError,
  checkCount,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { isThenable, render } from "../errors/render.ts";
import type { WorkerSetup } from "./protocol.ts";
import { addressOf, checkedFunction, type Sendable } from "./sendable.ts";

/** Options of `ThreadPoolExecutor` and `ProcessPoolExecutor`. */
export interface ExecutorOptions {
  /** What reports call it. */
  readonly name?: string | undefined;
  /** How many jobs run at a time, at most. @default the processors we may use */
  readonly maxWorkers?: number | undefined;
  /** Workers that are started at once, and kept. @default 0 */
  readonly minWorkers?: number | undefined;
  /** Seconds after which a worker that has nothing to do ends. @default 60 */
  readonly idle?: number | undefined;
  /** Jobs that may wait: `submit` throws where there are more, `run` waits. @default Infinity */
  readonly maxQueue?: number | undefined;
  /** Called in each worker before its first job. Where it fails, the pool is broken. */
  readonly initializer?: Sendable<() => unknown> | undefined;
  /** Modules that each worker loads before its first job. */
  readonly warm?: readonly object[] | undefined;
  /** Jobs after which a worker is replaced. @default Infinity */
  readonly maxTasksPerWorker?: number | undefined;
  /**
   * Megabytes in use after which a worker is replaced when its job has ended. It keeps no job from
   * taking more. @default Infinity
   */
  readonly maxMemoryMb?: number | undefined;
  /** The environment of the workers. @default that of this process */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Options of Node for the workers. @default those of this process */
  readonly execArgv?: readonly string[] | undefined;
}
const KNOWN: Names<ExecutorOptions> = {
  name: "string",
  maxWorkers: 1,
  minWorkers: 1,
  idle: 1,
  maxQueue: 1,
  initializer: 1,
  warm: 1,
  maxTasksPerWorker: 1,
  maxMemoryMb: 1,
  env: 1,
  execArgv: 1,
};

export interface CheckedPoolOptions {
  readonly name: string | undefined;
  readonly maxWorkers: number;
  readonly minWorkers: number;
  readonly idle: number;
  readonly maxQueue: number;
  readonly maxTasksPerWorker: number;
  readonly maxMemoryMb: number;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly execArgv: readonly string[] | undefined;
  readonly setup: Omit<WorkerSetup, "pool">;
}

/** @throws TypeError or RangeError for wrong options, in the name of the call. */
export function checkedPoolOptions(
  api: string,
  options: ExecutorOptions | undefined,
): CheckedPoolOptions {
  checkOptions(api, options, KNOWN);
  const { name, idle = 60, initializer, warm = [], env, execArgv } = options ?? {};
  checkSeconds(api, "`idle` in seconds", idle);
  if (!Array.isArray(warm)) throw argumentError(api, "`warm` as an array of modules", warm);
  if (execArgv !== undefined && !(Array.isArray(execArgv) && [...execArgv].every(isText)))
    throw argumentError(api, "`execArgv` as an array of strings", execArgv);
  if (env !== undefined && (typeof env !== "object" || env === null || isThenable(env)))
    throw argumentError(api, "`env` as an object of strings", env);
  const count = (
    key: "maxWorkers" | "minWorkers" | "maxQueue" | "maxTasksPerWorker" | "maxMemoryMb",
    fallback: number,
    least: number,
  ): number => {
    const { [key]: value = fallback } = options ?? {};
    checkCount(api, `\`${key}\``, value, least);
    return value;
  };
  const maxWorkers = count("maxWorkers", processors(), 1);
  const minWorkers = count("minWorkers", 0, 0);
  if (minWorkers > maxWorkers)
    throw rangeError(api, `\`minWorkers\` of at most \`maxWorkers\` (${maxWorkers})`, minWorkers);
  const begin =
    initializer === undefined
      ? undefined
      : checkedFunction(`\`initializer\` of ${api}`, initializer);
  return {
    name,
    maxWorkers,
    minWorkers,
    idle,
    maxQueue: count("maxQueue", Number.POSITIVE_INFINITY, 1),
    maxTasksPerWorker: count("maxTasksPerWorker", Number.POSITIVE_INFINITY, 1),
    maxMemoryMb: count("maxMemoryMb", Number.POSITIVE_INFINITY, 1),
    env,
    execArgv,
    setup: {
      warm: warm.map((one: unknown) => addressOf(one) ?? notAModule(api, one)),
      initializer: begin === undefined ? undefined : [begin.url, begin.name],
    },
  };
}

const isText = (value: unknown): boolean => typeof value === "string";

function notAModule(api: string, found: unknown): never {
  throw argumentError(api, "`warm` with what `module` gives", found, `. It got ${render(found)}`);
}

function processors(): number {
  return process.getBuiltinModule("node:os").availableParallelism();
}
