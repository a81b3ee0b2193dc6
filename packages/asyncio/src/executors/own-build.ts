/**
 * A worker begins with a file of the build that this code is of, and its jobs import the library by
 * name: both have to give the same one. Without conditions they do.
 */

import type { LinkOptions } from "./link.ts";

/** The options with which the jobs of a worker find this build. */
export function forOwnBuild(options: LinkOptions, _worker: "thread" | "process"): LinkOptions {
  return options;
}
