/// <reference lib="esnext.disposable" preserve="true" />

/**
 * What programs build out of tasks, queues and scopes again and again.
 * @module asyncio-ts/patterns
 */
// biome-ignore-all assist/source/organizeImports: the order is that of the documentation

// Channels
export { EndOfChannel } from "./patterns/channel-errors.ts";
export { Watch, type WatchOptions } from "./patterns/watch.ts";
// Resources
export {
  type Ended,
  type ReleaseOptions,
  Resource,
  resource,
  ResourceScope,
  resources,
} from "./patterns/resource.ts";
export type { Holder, Loan } from "./patterns/loan.ts";
export { Pool, type PoolOptions } from "./patterns/pool.ts";
