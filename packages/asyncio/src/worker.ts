/// <reference lib="esnext.disposable" preserve="true" />

/**
 * For code that executors run.
 * @module asyncio-ts/worker
 */

export { sharedContextVar } from "./executors/carried-variables.ts";
export {
  checkCancelled,
  currentJob,
  type JobInfo,
  progress,
  transfer,
} from "./executors/job-context.ts";
