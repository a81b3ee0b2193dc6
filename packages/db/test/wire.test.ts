import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { Packet } from "../src/postgres/packet.ts";
import { Wire, type WireListener } from "../src/postgres/wire.ts";

/** A message of the server. */
function message(kind: string, ...fields: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(fields.map((field) => Buffer.from(field as string)));
  const head = Buffer.alloc(5);
  head.write(kind);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const int16 = (value: number): Buffer => Buffer.from([value >> 8, value]);
const int32 = (value: number): Buffer => Buffer.from([0, value >> 16, value >> 8, value]);
const column = (name: string, type: number): Buffer =>
  Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(6), int32(type), Buffer.alloc(8)]);

/** What a wire tells of `chunks`, and the wire. */
async function heardOf(chunks: readonly Buffer[]): Promise<unknown[]> {
  const heard: unknown[] = [];
  const listener: WireListener = {
    parseComplete: () => heard.push("parsed"),
    rowDescription: (_key, read) => heard.push(read()),
    dataRow: (bytes, at) => heard.push(bytes.readInt16BE(at)),
    portalSuspended: () => heard.push("suspended"),
    emptyQuery: () => heard.push("empty"),
    commandComplete: (tag) => heard.push(tag),
    copyIn: () => heard.push("copy"),
    copyData: (bytes) => heard.push(bytes.toString()),
    notification: (channel, payload) => heard.push([channel, payload]),
    refused: ({ message, code, detail }) => heard.push({ message, code, detail }),
    readyForQuery: (status) => heard.push(status),
    parameterStatus: (name, value) => heard.push([name, value]),
    garbled: ({ message }) => heard.push(message),
  };
  const stream = new PassThrough();
  const wire = new Wire(stream as unknown as Socket, listener);
  const ended = new Promise((resolve) => stream.once("end", resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  assert.equal(wire.stream, stream as unknown);
  return heard;
}

const answers = Buffer.concat([
  message("S", "TimeZone\0UTC\0"),
  message("1"),
  message("2"),
  message("T", int16(2), column("n", 23), column("größe", 25)),
  message("D", int16(2), int32(1), "1", int32(2), "ab"),
  message("d", "x".repeat(300)),
  message("N", "Mdo not mind\0", "\0"),
  message("A", int32(7), "jobs\0", "more work\0"),
  message("E", "SERROR\0", "C23505\0", "Mdoppelt: ä\0", "DKey\0", "\0"),
  message("C", "INSERT 0 5\0"),
  message("s"),
  message("I"),
  message("Z", "T"),
]);
const told = [
  ["TimeZone", "UTC"],
  "parsed",
  [
    { name: "n", type: 23 },
    { name: "größe", type: 25 },
  ],
  2,
  "x".repeat(300),
  ["jobs", "more work"],
  { message: "doppelt: ä", code: "23505", detail: "Key" },
  "INSERT 0 5",
  "suspended",
  "empty",
  "T",
];

test("messages are read wherever the network has cut them", async () => {
  assert.deepEqual(await heardOf([answers]), told);
  const next = message("Z", "I"); // shorter than what has been missing
  for (let at = 1; at < answers.length; at++)
    assert.deepEqual(await heardOf([answers.subarray(0, at), answers.subarray(at), next]), [
      ...told,
      "I",
    ]);
  for (const size of [1, 2, 3, 5, 8])
    assert.deepEqual(
      await heardOf(
        Array.from({ length: Math.ceil(answers.length / size) }, (_, n) =>
          answers.subarray(n * size, (n + 1) * size),
        ),
      ),
      told,
    );
});

test("what is no message is told, and nothing behind it is read", async () => {
  const words = "the server does not speak PostgreSQL's protocol";
  const later = message("Z", "I");
  assert.deepEqual(await heardOf([Buffer.from("HTTP/1.1 400 Bad"), later]), [words]);
  assert.deepEqual(await heardOf([Buffer.from([90, 0, 0, 0, 3, 73]), later]), [words]);
});

test("a packet holds what was put into it, in the bytes of the protocol", () => {
  const packet = new Packet();
  packet.parse("p", "select $1, $2");
  packet.bind("", "p", ["ä", null, Buffer.from([0, 255])]);
  packet.describe("");
  packet.execute("c", 500);
  packet.closeStatement("p");
  packet.sync();
  const expected = Buffer.concat([
    message("P", "p\0", "select $1, $2\0", int16(0)),
    message(
      "B",
      "\0p\0",
      Buffer.concat([int16(3), int16(0), int16(0), int16(1), int16(3)]), // the third is bytes
      Buffer.concat([int32(2), Buffer.from("ä"), Buffer.from([255, 255, 255, 255])]),
      Buffer.concat([int32(2), Buffer.from([0, 255]), int16(0)]),
    ),
    message("D", "P\0"),
    message("E", "c\0", int32(500)),
    message("C", "Sp\0"),
    message("S"),
  ]);
  assert.deepEqual(packet.take(), expected);
  assert.equal(packet.take().length, 0);
});

test("a packet grows with what is put into it, and what was taken stays as it is", () => {
  const packet = new Packet();
  const texts = ["a".repeat(39), "ß".repeat(39), "é".repeat(5000), "z".repeat(100_000)];
  const taken = texts.map((text) => {
    packet.query(text);
    return packet.take();
  });
  packet.query("another one, which comes later");
  packet.take();
  assert.deepEqual(
    taken,
    texts.map((text) => message("Q", `${text}\0`)),
  );
});
