/** The first module of a thread of a pool. */

import type { MessagePort } from "node:worker_threads";
import { SharedMemory } from "./memory.ts";
import type { WorkerSetup } from "./protocol.ts";
import { WorkerSide } from "./worker-side.ts";

const { workerData, receiveMessageOnPort } = process.getBuiltinModule("node:worker_threads");
const { port, buffer, setup } = workerData as {
  port: MessagePort;
  buffer: SharedArrayBuffer;
  setup: WorkerSetup;
}; // the pool has made it
const side = new WorkerSide(port, new SharedMemory(buffer), (from) => receiveMessageOnPort(from));
void side.begin(setup);
