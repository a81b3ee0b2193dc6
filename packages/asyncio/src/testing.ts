/** asyncio-ts/testing: concurrent code under test. */

export { VirtualLoop, type VirtualLoopOptions } from "./testing/virtual-loop.ts";
