// Interruptions that come at the worst moment, which real threads meet once in a million.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { basename } from "node:path";
import { test } from "node:test";
import threads, { MessageChannel, type MessagePort } from "node:worker_threads";
import { SharedMemory } from "../../src/executors/memory.ts";
import { fromWorker, toWorker } from "../../src/executors/protocol.ts";
import { WorkerSide } from "../../src/executors/worker-side.ts";

/** The port of a worker, which may be interrupted where it sends something. */
class Port extends EventEmitter {
  readonly sent: (readonly unknown[])[] = [];
  /** What is being sent when it is cut off. */
  cutsOff: number | undefined = undefined;
  #next: (() => void) | undefined = undefined;

  postMessage(message: readonly unknown[]): void {
    if (message[0] === this.cutsOff) {
      this.cutsOff = undefined;
      throw new Error("cut off here");
    }
    this.sent.push(message);
    this.#next?.();
  }

  async until(kind: number): Promise<readonly unknown[]> {
    for (;;) {
      const index = this.sent.findIndex(([sent]) => sent === kind);
      if (index >= 0) return this.sent.splice(0, index + 1)[index] as readonly unknown[];
      await new Promise<void>((resolve) => {
        this.#next = resolve;
      });
    }
  }
}

test("a thread that is interrupted while it sends an outcome goes on, and the outcome is heard of", async (t) => {
  const channel = new MessageChannel(); // that of the thread, which would keep this process alive
  t.mock.method(threads, "MessageChannel", function made() {
    return channel;
  });
  t.after(() => channel.port1.close());
  const port = new Port();
  const memory = new SharedMemory();
  const results: unknown[] = [];
  const drain = () => memory.drain((seq, _seconds, value) => results.push([seq, value]));
  const side = new WorkerSide({
    port: port as unknown as MessagePort,
    memory,
    receive: () => undefined,
    isInProcess: false,
    wire: undefined,
  });
  await side.begin({ pool: "pool", warm: [], initializer: undefined });
  const job = (seq: number) => {
    const extras = { attempt: 1, isInterruptible: true };
    const definitions = [[0, "node:path", basename.name]];
    port.emit("message", [toWorker.job, definitions, [seq, 0, seq, ["/a/b"], extras]]);
  };
  port.cutsOff = fromWorker.wake;
  const others = process.listeners("unhandledRejection"); // the test runner's
  process.removeAllListeners("unhandledRejection");
  await new Promise((resolve) => {
    process.once("unhandledRejection", resolve);
    job(1);
  });
  for (const other of others) process.on("unhandledRejection", other);

  port.emit("message", [toWorker.ping, 1, 1]);
  await port.until(fromWorker.wake);
  drain();
  assert.deepEqual(await port.until(fromWorker.pong), [fromWorker.pong, 1, true]);
  job(2);
  await port.until(fromWorker.wake);
  drain();
  assert.deepEqual(results, [
    [1, "b"],
    [2, "b"],
  ]);
});
