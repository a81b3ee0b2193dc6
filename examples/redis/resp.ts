// RESP3, the protocol of Redis: what is read off a connection, and how commands are written.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
//
// One value after the other, each begins with a byte that tells its kind. A value is read by the
// reader's own operations, and a cancelled one leaves its bytes where they are; but what was read
// of a half-read value is gone. So one task reads, and it is only cancelled together with the whole
// connection.

import type { StreamReader } from "asyncio-ts";

/** What a server answers. Its null is `undefined`. */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | undefined
  | ReplyError
  | Push
  | Value[]
  | Map<Value, Value>
  | Set<Value>;

/**
 * The server has refused a command: "WRONGTYPE Operation against a key holding the wrong kind of
 * value".
 */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  /** The first word of the message: "ERR", "WRONGTYPE", ... */
  readonly kind: string;

  constructor(message: string) {
    super(message);
    this.kind = /^\S*/.exec(message)?.[0] ?? "";
  }
}

/** What comes unasked, and answers no command. */
export class Push {
  readonly kind: string;
  readonly values: readonly Value[];

  constructor([kind, ...values]: readonly Value[]) {
    this.kind = String(kind);
    this.values = values;
  }
}

/** The peer does not speak RESP3. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const decoder = new TextDecoder();
/** Elements of one value; more is no answer but garbage that looks like one. */
const MOST_ELEMENTS = 1_000_000;

/** Reads a value. */
export async function readValue(reader: StreamReader): Promise<Value> {
  const line = decoder.decode(await reader.readUntil("\r\n")).slice(0, -2);
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      return new ReplyError(rest);
    case ":":
      return integer(rest);
    case "(":
      return BigInt(rest);
    case ",":
      return rest === "inf" ? Infinity : rest === "-inf" ? -Infinity : Number(rest);
    case "#":
      return rest === "t";
    case "_":
      return undefined;
    case "$":
      return rest === "-1" ? undefined : await readText(reader, rest);
    case "!":
      return new ReplyError(await readText(reader, rest));
    case "=":
      return (await readText(reader, rest)).slice("txt:".length);
    case "*":
      return rest === "-1" ? undefined : await readValues(reader, count(rest));
    case "~":
      return new Set(await readValues(reader, count(rest)));
    case ">":
      return new Push(await readValues(reader, count(rest)));
    case "%":
      return pairs(await readValues(reader, 2 * count(rest)));
    case "|":
      await readValues(reader, 2 * count(rest)); // attributes, which were not asked for here
      return await readValue(reader);
    default:
      throw new ProtocolError(
        `expected a value of RESP3, got ${JSON.stringify(line.slice(0, 50))}`,
      );
  }
}

async function readText(reader: StreamReader, length: string): Promise<string> {
  const bytes = await reader.readExactly(integer(length) + 2);
  return decoder.decode(bytes.subarray(0, -2));
}

async function readValues(reader: StreamReader, count: number): Promise<Value[]> {
  const values: Value[] = [];
  while (values.length < count) values.push(await readValue(reader));
  return values;
}

function pairs(values: readonly Value[]): Map<Value, Value> {
  const map = new Map<Value, Value>();
  for (let index = 0; index < values.length; index += 2) map.set(values[index], values[index + 1]);
  return map;
}

function integer(text: string): number {
  if (!/^-?\d+$/.test(text))
    throw new ProtocolError(`expected an integer, got ${JSON.stringify(text)}`);
  return Number(text);
}

function count(text: string): number {
  const value = integer(text);
  if (value < 0 || value > MOST_ELEMENTS)
    throw new ProtocolError(`expected a number of elements, got ${text}`);
  return value;
}

/** A command as it goes out: an array of texts. */
export function encodeCommand(parts: readonly (string | number)[]): string {
  const texts = parts.map(String);
  return `*${texts.length}\r\n${texts.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`).join("")}`;
}
