/** The first module of a thread of a pool. */

import { SharedMemory } from "./memory.ts";
import type { ThreadData } from "./thread-data.ts";
import { hasWires, ThreadWire } from "./wire.ts";
import { WorkerSide } from "./worker-side.ts";

const { workerData, receiveMessageOnPort } = process.getBuiltinModule("node:worker_threads");
const { port, buffer, setup, isInProcess } = workerData as ThreadData; // the pool has made it
const side = new WorkerSide({
  port,
  memory: new SharedMemory(buffer),
  receive: (from) => receiveMessageOnPort(from),
  isInProcess,
  wire: isInProcess && hasWires ? new ThreadWire() : undefined,
});
void side.begin(setup);
