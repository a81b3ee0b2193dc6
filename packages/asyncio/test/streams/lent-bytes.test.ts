import assert from "node:assert/strict";
import { Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { run, writerFrom } from "../../src/index.ts";
import { keepLent, LENT, lend } from "../../src/streams/lent-bytes.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

test("memory that the host did not keep is lent again", () => {
  const first = lend(bytes(1, 2, 3));
  const place = first.byteOffset;
  assert.deepEqual([...first], [1, 2, 3]);
  const second = lend(bytes(4, 5));

  assert.deepEqual([[...second], second.byteOffset], [[4, 5], place]);
  assert.equal(second.buffer, first.buffer);
});

test("what the host keeps is not written to again, however much is lent after it", () => {
  const kept: Uint8Array[] = [];
  const count = 1000;
  for (let index = 0; index < count; index++) {
    const length = 1 + ((index * 37) % 997);
    kept.push(lend(new Uint8Array(length).fill(index)));
    keepLent();
    lend(new Uint8Array(length).fill(0xff));
  }

  for (const [index, chunk] of kept.entries())
    assert.ok(
      chunk.length === 1 + ((index * 37) % 997) && chunk.every((byte) => byte === index % 256),
    );
});

test("the longest write has room, also behind what was kept", () => {
  lend(bytes(1));
  keepLent();
  const long = lend(new Uint8Array(LENT).fill(7));

  assert.equal(long.length, LENT);
  assert.ok(long.every((byte) => byte === 7));
  keepLent();
  assert.deepEqual([...lend(bytes(8))], [8]);
  assert.ok(long.every((byte) => byte === 7));
});

/** What many libraries have instead of a socket: it looks like one, and keeps what it is given. */
class SocketOfProgram extends Duplex {
  readonly kept: Uint8Array[] = [];
  setNoDelay(): void {}
  override _read(): void {}
  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.kept.push(chunk);
    done();
  }
}

/** A socket that a program has made its own. */
class ClaimedSocket extends Socket {
  readonly kept: Uint8Array[] = [];
  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.kept.push(chunk);
    done();
  }
}

for (const Kept of [SocketOfProgram, ClaimedSocket]) {
  test(`nothing is lent to a ${Kept.name}, which keeps what it is given`, async () => {
    const stream = new Kept();
    await run(async () => {
      const writer = writerFrom(stream);
      for (const word of ["one ", "two ", "six"]) await writer.write(word);
      writer.close();
      await writer.waitClosed();
    });

    assert.equal(Buffer.concat(stream.kept).toString(), "one two six");
  });
}
