import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import {
  type Connection,
  connectionFrom,
  connectionPair,
  openConnection,
  run,
  startServer,
} from "../../src/index.ts";
import { encodeText, lendText } from "../../src/streams/encode.ts";

const texts = ["", "+OK\r\n", "ü€😀", "x".repeat(8192), "€".repeat(8192), "y".repeat(8193)];

test("text that is lent has the bytes of the text, and is overwritten by the next one", () => {
  for (const text of [...texts, "\ud800"])
    assert.deepEqual([...lendText(text)], [...encodeText(text)]);
  const first = lendText("one");
  lendText("two");

  assert.deepEqual([...first], [...encodeText("two")]);
});

describe("texts that are written without a wait arrive as they were", () => {
  const sent = texts.flatMap((text, index) => [text, `${index};`, `${index * index};`]);

  async function check(from: Connection, to: Connection): Promise<void> {
    for (const text of sent) void from.writer.write(text);
    from.writer.writeEof();
    assert.equal(new TextDecoder().decode(await to.reader.read()), sent.join(""));
    from.writer.close();
    to.writer.close();
  }

  test("in memory", () => run(() => check(...connectionPair())));

  test("on a stream of the program", () =>
    run(async () => {
      const stream = connectionFrom(new PassThrough({ highWaterMark: 1 }));
      await check(stream, stream);
    }));

  test("on a socket", () =>
    run(async () => {
      const accepted = Promise.withResolvers<Connection>();
      const over = Promise.withResolvers<void>();
      await using server = await startServer(
        async (_reader, _writer, connection) => {
          accepted.resolve(connection);
          await over.promise;
        },
        "127.0.0.1",
        0,
      );
      const { host, port } = server.sockets[0];
      const client = await openConnection(host, port);
      await check(client, await accepted.promise);
      over.resolve();
    }));
});
