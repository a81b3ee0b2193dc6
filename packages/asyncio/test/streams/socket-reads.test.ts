// What is asked of Node's sockets here is not documented. These tests tell when it has changed.
// Then bytes come as "data": the library works as before, and is slower.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { readIntoMemory, takeOut, tellNoMore } from "../../src/streams/socket-reads.ts";

const isNode = !("Deno" in globalThis || "Bun" in globalThis);
const skip = isNode ? false : "this is what Node alone has";

/** A socket of a server, which has read nothing, and its peer. */
async function withSockets(body: (socket: Socket, peer: Socket) => Promise<void>): Promise<void> {
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await accepted) as [Socket];
  try {
    await body(socket, peer);
  } finally {
    socket.destroy();
    peer.destroy();
    server.close();
  }
}

test("an accepted socket is read into one memory, with its pauses and its end", { skip }, () =>
  withSockets(async (socket, peer) => {
    const ended = once(socket, "end");
    const memories = new Set<Uint8Array>();
    const texts: string[] = [];
    let told = Promise.withResolvers<void>();
    const done = readIntoMemory(socket, function (count, memory) {
      assert.equal(this, socket);
      memories.add(memory);
      texts.push(new TextDecoder().decode(takeOut(count, memory)));
      told.resolve();
    });
    assert.equal(done, true);

    for (const word of ["one", "two"]) {
      told = Promise.withResolvers();
      peer.write(word);
      socket.resume();
      await told.promise;
      socket.pause();
    }
    peer.end("three");
    await once(peer, "finish");
    assert.deepEqual(texts, ["one", "two"]);
    socket.resume();
    await ended;

    assert.deepEqual([texts, memories.size], [["one", "two", "three"], 1]);
  }),
);

test("what comes for other code is told no more", { skip }, () =>
  withSockets(async (socket, peer) => {
    const texts: string[] = [];
    const told = Promise.withResolvers<void>();
    readIntoMemory(socket, (count, memory) => {
      texts.push(new TextDecoder().decode(takeOut(count, memory)));
      told.resolve();
    });
    peer.write("ours");
    socket.resume();
    await told.promise;
    const ended = once(socket, "end");
    tellNoMore(socket);
    peer.end("theirs");
    await ended;

    assert.deepEqual([texts, socket.bytesRead], [["ours"], "ourstheirs".length]);
  }),
);

test("it is done once, and not to a socket that has memory of its own", { skip }, () =>
  withSockets(async (socket, peer) => {
    const { port } = socket.address() as AddressInfo;
    const onread = { buffer: new Uint8Array(8), callback: () => true };
    const other = connect({ port, host: "127.0.0.1", onread });
    await once(other, "connect");
    try {
      assert.equal(
        readIntoMemory(socket, () => {}),
        true,
      );
      assert.equal(
        readIntoMemory(socket, () => {}),
        false,
      );
      assert.equal(
        readIntoMemory(other, () => {}),
        false,
      );
      assert.equal(
        readIntoMemory(new PassThrough(), () => {}),
        false,
      );
      assert.equal(peer.destroyed, false);
    } finally {
      other.destroy();
    }
  }),
);

test("what fills the memory is copied out of it, and never written to again", { skip }, () =>
  withSockets(async (socket, peer) => {
    const sent = new Uint8Array(2 ** 22).map((_, index) => index % 251);
    const chunks: Uint8Array[] = [];
    const memories = new Set<Uint8Array>();
    let missing = sent.length;
    const told = Promise.withResolvers<void>();
    readIntoMemory(socket, (count, memory) => {
      memories.add(memory);
      chunks.push(takeOut(count, memory));
      missing -= count;
      if (missing === 0) told.resolve();
    });
    socket.resume();
    peer.write(sent);
    await told.promise;

    assert.ok(chunks.some(({ length }) => length > 32_768));
    assert.deepEqual(Buffer.concat(chunks), Buffer.from(sent));
    assert.equal(memories.size, 1);
    const [memory] = memories;
    assert.ok(chunks.every(({ buffer }) => buffer !== memory?.buffer));
  }),
);

test("of few bytes a copy is taken out", () => {
  const memory = new Uint8Array(65_536).fill(1);
  const [few, some] = [takeOut(3, memory), takeOut(8192, memory)];
  memory.fill(2);

  assert.deepEqual([...few], [1, 1, 1]);
  assert.equal(some.length, 8192);
  assert.ok(some.every((byte) => byte === 1));
});
