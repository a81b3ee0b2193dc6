// `waitClosed` of each thing that has it. In a scope that was cancelled, what did not wait may not
// look as if it had been closed.

import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { describe, test } from "node:test";
import {
  CancelScope,
  connectionPair,
  createDatagramEndpoint,
  createTask,
  type DatagramEndpoint,
  openConnection,
  run,
  sleep,
  startServer,
  TimeoutError,
  timeout,
  writerFrom,
} from "../../src/index.ts";
import { openEndpoint } from "../../src/net/datagram.ts";
import { onBothLoops } from "../both-loops.ts";
import { conforms } from "../conformance.ts";

conforms("StreamWriter.waitClosed", { wakes: "all", hasFastPath: true }, () => {
  const [{ writer }] = connectionPair();
  return { begin: () => writer.waitClosed(), complete: () => writer.close() };
});

let endpoint: DatagramEndpoint | undefined;
conforms(
  "DatagramEndpoint.waitClosed",
  {
    wakes: "all",
    hasFastPath: true,
    within: async (check) => {
      endpoint = await openEndpoint(async () => port, 1);
      await check();
      endpoint.close();
    },
  },
  () => ({
    begin: async () => await endpoint?.waitClosed(),
    complete: () => endpoint?.close(),
  }),
);
const port = {
  address: { host: "here", port: 1 },
  isOutside: false,
  send: () => true,
  close: (closed: () => void) => closed(),
};

interface Closable {
  waitClosed(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const streams: Record<string, () => Closable> = {
  "a memory stream": () => connectionPair()[0].writer,
  "a Writable of Node": () => writerFrom(new Writable({ write() {} })),
  "a Duplex of Node": () => writerFrom(new PassThrough()),
  "a WritableStream": () => writerFrom(new WritableStream()),
};

async function rejectsWhereCancelled(stream: Closable): Promise<void> {
  await assert.rejects(
    timeout(0, () => stream.waitClosed()),
    TimeoutError,
  );
  const scope = new CancelScope();
  scope.cancel();
  let isPast = false;
  await scope.run(async () => {
    await stream.waitClosed();
    isPast = true;
  });
  assert.deepEqual([scope.cancelled, isPast], [true, false]);

  await stream[Symbol.asyncDispose]();
  await stream.waitClosed();
  await assert.rejects(
    timeout(0, () => stream.waitClosed()),
    TimeoutError,
  );
}

describe("in a scope that was cancelled, `waitClosed` rejects", () => {
  for (const [name, make] of Object.entries(streams))
    onBothLoops(`of ${name}`, () => rejectsWhereCancelled(make()));

  test("of a connection", () =>
    run(async () => {
      await using server = await startServer((reader) => reader.read(), { host: "127.0.0.1" });
      const { port } = server.sockets[0] as { port: number };
      const { writer } = await openConnection("127.0.0.1", port);
      await rejectsWhereCancelled(writer);
    }));

  test("of a datagram endpoint", () =>
    run(async () => {
      await rejectsWhereCancelled(await createDatagramEndpoint({ local: { host: "127.0.0.1" } }));
    }));
});

onBothLoops("a memory stream that its peer leaves, and that is aborted then, is gone", async () => {
  const [near, far] = connectionPair();
  void near.writer.write("never read");
  near.writer.close();
  const closed = createTask(() => near.writer.waitClosed());
  await sleep(0.001);

  far.writer.close();
  near.writer.abort();

  await closed;
});
