// How a client says where it wants to be connected to: SOCKS 5 (RFC 1928, with names and passwords
// as in RFC 1929), or CONNECT of HTTP/1.1 (RFC 9110). The first byte tells which of the two it
// speaks.

import { createHash, timingSafeEqual } from "node:crypto";
import type * as asyncio from "asyncio-ts";
import type { HostAndPort } from "../command-line.ts";

/** Why there is no connection: in the words of SOCKS, and in those of HTTP. */
const failures = {
  broken: { socks: 1, http: "502 Bad Gateway" },
  forbidden: { socks: 2, http: "403 Forbidden" },
  "no network": { socks: 3, http: "502 Bad Gateway" },
  "no host": { socks: 4, http: "502 Bad Gateway" },
  refused: { socks: 5, http: "502 Bad Gateway" },
  late: { socks: 6, http: "504 Gateway Timeout" },
  command: { socks: 7, http: "405 Method Not Allowed\r\nAllow: CONNECT" },
  address: { socks: 8, http: "400 Bad Request" },
} as const;

export type Failure = keyof typeof failures;

export interface ConnectRequest {
  readonly target: HostAndPort;
  /** What the client is told. */
  granted(here: HostAndPort): Uint8Array | string;
  failed(failure: Failure): Uint8Array | string;
}

/** A client that cannot be served, and the last thing that it is told. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
  readonly answer: Uint8Array | string;

  constructor(what: string, answer: Uint8Array | string = "") {
    super(what);
    this.answer = answer;
  }
}

/** Names with their passwords; undefined lets all clients in. */
export type Users = ReadonlyMap<string, string> | undefined;

type Ends = readonly [asyncio.StreamReader, asyncio.StreamWriter];

/** Reads a request. Throws BadRequest, or the errors of the reader. */
export async function readRequest(client: Ends, users: Users): Promise<ConnectRequest> {
  const [first = 0] = await client[0].readExactly(1);
  if (first === 5) return await readSocks(client, users);
  if (first === 0x43) return await readHttp(client[0], users); // the C of CONNECT
  throw new BadRequest("speaks neither SOCKS 5 nor CONNECT");
}

const NO_PASSWORD = 0;
const PASSWORD = 2;
const NONE_OF_THESE = 0xff;
const CONNECT = 1;

async function readSocks([reader, writer]: Ends, users: Users): Promise<ConnectRequest> {
  const methods = await reader.readExactly(await readByte(reader));
  const method = users === undefined ? NO_PASSWORD : PASSWORD;
  if (!methods.includes(method))
    throw new BadRequest("offers no way in", Uint8Array.of(5, NONE_OF_THESE));
  await writer.write(Uint8Array.of(5, method));
  if (users !== undefined) await logIn([reader, writer], users);

  const [version = 0, command = 0, , kind = 0] = await reader.readExactly(4);
  if (version !== 5) throw new BadRequest("does not keep to SOCKS 5");
  const host = await readHost(reader, kind);
  const [high = 0, low = 0] = await reader.readExactly(2);
  if (command !== CONNECT)
    throw new BadRequest("asks for more than CONNECT", socksAnswer("command"));
  if (host === undefined) throw new BadRequest("has a strange address", socksAnswer("address"));
  return {
    target: { host, port: high * 256 + low },
    failed: socksAnswer,
    granted: ({ host, port }) => {
      const parts = host.split(".").map(Number);
      // Clients do nothing with it; for an address of IPv6 zeros will do.
      const known = parts.length === 4 ? parts : [0, 0, 0, 0];
      return Uint8Array.of(5, 0, 0, 1, ...known, port >> 8, port & 0xff);
    },
  };
}

async function logIn([reader, writer]: Ends, users: ReadonlyMap<string, string>): Promise<void> {
  await readByte(reader); // the version of this part
  const name = await readText(reader);
  const password = await readText(reader);
  const isRight = isPassword(users, name, password);
  const answer = Uint8Array.of(1, isRight ? 0 : 1);
  if (!isRight) throw new BadRequest("has no right password", answer);
  await writer.write(answer);
}

/** Undefined if it is none that can be connected to. */
async function readHost(reader: asyncio.StreamReader, kind: number): Promise<string | undefined> {
  if (kind === 1) return (await reader.readExactly(4)).join(".");
  if (kind === 3) return hostName(await readText(reader));
  if (kind !== 4) throw new BadRequest("has a strange address", socksAnswer("address"));
  const bytes = await reader.readExactly(16);
  const words = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return Array.from({ length: 8 }, (_, index) => words.getUint16(2 * index).toString(16)).join(":");
}

function socksAnswer(failure: Failure): Uint8Array {
  return Uint8Array.of(5, failures[failure].socks, 0, 1, 0, 0, 0, 0, 0, 0);
}

async function readByte(reader: asyncio.StreamReader): Promise<number> {
  const [byte = 0] = await reader.readExactly(1);
  return byte;
}

async function readText(reader: asyncio.StreamReader): Promise<string> {
  return new TextDecoder().decode(await reader.readExactly(await readByte(reader)));
}

/** Bytes that the head of a request may have. */
const LONGEST_HEAD = 8192;

async function readHttp(reader: asyncio.StreamReader, users: Users): Promise<ConnectRequest> {
  const head = new TextDecoder().decode(
    await reader.readUntil("\r\n\r\n", { limit: LONGEST_HEAD }),
  );
  const [, host, port] = /^ONNECT (\S+):(\d{1,5}) HTTP\/1\.[01]\r\n/.exec(head) ?? [];
  const name = hostName(host?.replace(/^\[(.*)\]$/, "$1") ?? "");
  if (name === undefined) throw new BadRequest("has a strange address", httpAnswer("address"));
  const [, basic = ""] = /^Proxy-Authorization: *Basic +(\S+) *$/im.exec(head) ?? [];
  const [, user = "", password = ""] = /^(.*?):(.*)$/s.exec(fromBase64(basic)) ?? [];
  if (users !== undefined && !isPassword(users, user, password))
    throw new BadRequest(
      "has no right password",
      'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n\r\n',
    );
  return {
    target: { host: name, port: Number(port) },
    failed: httpAnswer,
    granted: () => "HTTP/1.1 200 Connected\r\n\r\n",
  };
}

function httpAnswer(failure: Failure): string {
  return `HTTP/1.1 ${failures[failure].http}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
}

function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString();
}

function hostName(text: string): string | undefined {
  return /^[\w.:-]{1,255}$/.test(text) ? text : undefined;
}

/** Takes the same time for every name and password. */
function isPassword(users: ReadonlyMap<string, string>, name: string, password: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  const expected = users.get(name);
  return timingSafeEqual(hash(password), hash(expected ?? "")) && expected !== undefined;
}
