/// <reference lib="esnext.disposable" preserve="true" />

/**
 * For authors of operations and of loops.
 * @module asyncio-ts/lowlevel
 */

export {
  belongToRun,
  type Cancellation,
  checkpoint,
  complete,
  currentScope,
  type Held,
  interruption,
  type Outside,
  park,
  refuse,
  type Scope,
  taskPath,
  watchHeld,
} from "./interop/operation.ts";
export type { Host, HostTimer } from "./kernel/host.ts";
export {
  type Caller,
  type Got,
  type Operation,
  operation,
  type Place,
  type Selectable,
} from "./kernel/selectable.ts";
export { type Wait, WaitList, type WaitSubject } from "./kernel/wait.ts";
