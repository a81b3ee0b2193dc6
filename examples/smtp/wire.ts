// What a server and a client of SMTP have in common (RFC 5321): lines, replies, and text in which a
// line with one dot is the end.

import * as asyncio from "asyncio-ts";

/** A message, and who it is from and for. */
export interface Mail {
  /** Empty for notices of failure, which must not be answered. */
  readonly from: string;
  readonly to: readonly string[];
  /** Lines that end with CR LF. */
  readonly data: Uint8Array;
}

/** A reply that is a refusal: 4xx means not now, 5xx means never. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.code = code;
  }

  get isTemporary(): boolean {
    return this.code < 500;
  }
}

/**
 * A refusal after which nothing more can be said: sender and receiver would not agree on where
 * lines end.
 */
export class Nonsense extends Refusal {}

/** Bytes of a line, with its end; RFC 5321 asks for 1,000 at least. */
export const LONGEST_LINE = 4096;
/**
 * An address, as far as a relay has to know it: two parts, and nothing in them that ends a command.
 */
const ADDRESS = /^[!-~]{1,64}@[\w.:[\]-]{1,253}$/;

export function isAddress(text: string): boolean {
  return ADDRESS.test(text) && !/[<>]/.test(text);
}

/**
 * Reads a line, and gives it without its end; undefined when the peer has ended. Only CR LF ends a
 * line. Who takes a lone LF for an end, too, can be made to find a second message inside the first,
 * which the server before it has not seen ("SMTP smuggling").
 */
export async function readLine(reader: asyncio.StreamReader): Promise<Uint8Array | undefined> {
  let line: Uint8Array;
  try {
    line = (await reader.readUntil("\r\n", { limit: LONGEST_LINE })).subarray(0, -2);
  } catch (error) {
    if (error instanceof asyncio.IncompleteReadError) return undefined;
    if (!(error instanceof asyncio.LimitOverrunError)) throw error;
    throw new Nonsense(500, `a line has at most ${LONGEST_LINE} bytes`);
  }
  if (line.includes(0x0a) || line.includes(0x0d)) throw new Nonsense(521, "lines end with CR LF");
  return line;
}

const DOT = 0x2e;
const LINE_END: Uint8Array = new TextEncoder().encode("\r\n");

/**
 * Reads the text of a message up to its end. What is above `most` bytes is read, too, and thrown
 * away.
 */
export async function readText(reader: asyncio.StreamReader, most: number): Promise<Uint8Array> {
  const lines: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const line = await readLine(reader);
    if (line === undefined) throw new asyncio.IncompleteReadError("the message", new Uint8Array());
    const isDotted = line[0] === DOT;
    if (isDotted && line.length === 1) break;
    size += line.length + 2 - (isDotted ? 1 : 0);
    if (size <= most) lines.push(isDotted ? line.subarray(1) : line, LINE_END);
  }
  if (size > most) throw new Refusal(552, `a message has at most ${most} bytes`);
  return Buffer.concat(lines);
}

/**
 * The text as it is sent: every line ends with CR LF, one that begins with a dot gets another, and
 * the end follows.
 */
export function textToSend(data: Uint8Array): Uint8Array {
  const lines = Buffer.from(data)
    .toString("latin1")
    .split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") lines.pop();
  const dotted = lines.map((line) => (line.startsWith(".") ? `.${line}` : line));
  return Buffer.from([...dotted, ".", ""].join("\r\n"), "latin1");
}
