/// <reference lib="esnext.disposable" preserve="true" />

/** asyncio-ts/lowlevel: for authors of operations and of loops. */

export { checkpoint, complete, interruption, park } from "./interop/operation.ts";
export type { Cancellation } from "./kernel/cancellation.ts";
export { currentScope } from "./kernel/context.ts";
export type { Host, HostTimer } from "./kernel/host.ts";
export { Scope } from "./kernel/scope.ts";
export { type Wait, WaitList, type WaitSubject } from "./kernel/wait.ts";
