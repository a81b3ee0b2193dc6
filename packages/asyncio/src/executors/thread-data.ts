/**
 * What a thread is started with. Apart from the protocol, whose declarations are public: they are
 * read without the types of Node as well.
 */

import type { MessagePort } from "node:worker_threads";
import type { WorkerSetup } from "./protocol.ts";

export interface ThreadData {
  readonly port: MessagePort;
  readonly buffer: SharedArrayBuffer;
  readonly setup: WorkerSetup;
  readonly isInProcess: boolean;
}
