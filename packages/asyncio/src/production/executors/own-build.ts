/**
 * For executors/own-build.ts: workers resolve names under the condition `production`. They inherit
 * it from this process, unless they are given flags or an environment of their own. On Deno only
 * threads do.
 */

import type { LinkOptions } from "../../executors/link.ts";

const FLAG = "--conditions=production";

export function forOwnBuild(
  { execArgv, env, ...rest }: LinkOptions,
  worker: "thread" | "process",
): LinkOptions {
  if ("Deno" in globalThis && worker === "process")
    return { ...rest, execArgv, env: { ...(env ?? process.env), DENO_CONDITIONS: "production" } };
  if (execArgv !== undefined) return { ...rest, env, execArgv: [...execArgv, FLAG] };
  if (env === undefined) return { ...rest, env, execArgv };
  const flags = env.NODE_OPTIONS === undefined ? FLAG : `${env.NODE_OPTIONS} ${FLAG}`;
  return { ...rest, execArgv, env: { ...env, NODE_OPTIONS: flags } };
}
