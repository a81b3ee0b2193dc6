/**
 * The wire to a server, once `pg` has connected it and the server has let us in. From then on the
 * bytes are read here, where they arrive: a row is made of the bytes of its message, and nothing in
 * between. Messages of PostgreSQL's protocol, version 3:
 *
 *     ┌──────┬────────────────┬────────────┐
 *     │ kind │ length, 4 bytes│ its fields │   the length counts itself, and not the kind
 *     └──────┴────────────────┴────────────┘
 *
 * The bytes are there until the call that brings them returns: they lie in memory that all sockets of
 * the program's databases share. The host would allocate 64 KiB for each read, which costs more than
 * a short answer.
 */

import { Socket } from "node:net";
import pg from "pg";
import type { Packet } from "./packet.ts";
import type { ServerError } from "./shape.ts";

/** A column, as the server describes it. */
export interface WireField {
  readonly name: string;
  readonly type: number;
}

/** What is told of the messages that come, in their order. */
export interface WireListener {
  parseComplete(): void;
  /** @param key - the same for the same columns; @param read - gives them, in the call */
  rowDescription(key: string, read: () => WireField[]): void;
  /** The row lies in `bytes` from `at`, until the call returns. */
  dataRow(bytes: Buffer, at: number): void;
  portalSuspended(): void;
  emptyQuery(): void;
  /** @param tag - the command, and numbers of rows: "INSERT 0 5" */
  commandComplete(tag: string): void;
  copyIn(): void;
  copyData(bytes: Buffer): void;
  notification(channel: string, payload: string): void;
  /** A setting of which the server tells each change has this value from now on. */
  parameterStatus(name: string, value: string): void;
  refused(error: ServerError): void;
  /** @param status - I, T or E */
  readyForQuery(status: string): void;
  /** What came is no message of the protocol. */
  garbled(error: Error): void;
}

/** Bytes that a message has before its fields. */
const HEAD = 5;
/** The longest message that a server sends: a gigabyte. */
const MOST = 0x4000_0000;

/** Bytes that are read at once, as the host does it. */
const READ = 65_536;

/** What sockets are read into: nothing comes between a read and the call that tells of it. */
let memory: Buffer | undefined;

/**
 * A socket that is not connected yet. What comes it tells as "bytes", in the shared memory; as "data",
 * which may be kept, as long as nobody listens to those.
 */
export function sharingSocket(): Socket {
  memory ??= Buffer.allocUnsafeSlow(READ);
  const buffer = memory;
  const onread = {
    buffer,
    callback: (count: number): boolean => {
      const bytes = buffer.subarray(0, count);
      if (!socket.emit("bytes", bytes)) socket.emit("data", Buffer.from(bytes));
      return true;
    },
  };
  const socket: Socket = new Socket({ onread });
  return socket;
}

export class Wire {
  readonly stream: Socket;
  readonly #listener: WireListener;
  /** The beginning of a message that has not come whole, and how many bytes of it are known to lack. */
  #parts: Buffer[] = [];
  #missing = 0;
  #isCut = false;

  /** Takes the stream over. Called between two messages, as after a ReadyForQuery. */
  constructor(stream: Socket, listener: WireListener) {
    this.stream = stream;
    this.#listener = listener;
    stream.removeAllListeners("data");
    const take = (bytes: Buffer): void => this.#take(bytes);
    stream.on("bytes", take);
    stream.on("data", take); // with TLS, and where the host has no such sockets
  }

  /** Sends what was put together. A stream that is gone says so by its end. */
  send(packet: Packet): void {
    const bytes = packet.take();
    if (this.stream.writable) this.stream.write(bytes);
  }

  /** Nothing that comes is told any more. */
  cut(): void {
    this.#isCut = true;
    this.stream.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#isCut) return;
    if (chunk.length < this.#missing) {
      this.#parts.push(Buffer.from(chunk));
      this.#missing -= chunk.length;
      return;
    }
    const bytes = this.#parts.length === 0 ? chunk : Buffer.concat([...this.#parts, chunk]);
    this.#parts = [];
    this.#missing = 0;
    let at = 0;
    while (bytes.length - at >= HEAD && !this.#isCut) {
      const length = bytes.readInt32BE(at + 1);
      if (length < 4 || length > MOST) {
        this.#isCut = true;
        this.#listener.garbled(new Error("the server does not speak PostgreSQL's protocol"));
        return;
      }
      const end = at + 1 + length;
      if (end > bytes.length) break;
      this.#message(bytes[at] as number, bytes, at + HEAD, end); // there are five more bytes
      at = end;
    }
    if (at === bytes.length || this.#isCut) return;
    const rest = Buffer.from(bytes.subarray(at));
    this.#parts = [rest];
    this.#missing = rest.length < HEAD ? HEAD - rest.length : 1 + rest.readInt32BE(1) - rest.length;
  }

  #message(kind: number, bytes: Buffer, at: number, end: number): void {
    const listener = this.#listener;
    switch (kind) {
      case DATA_ROW:
        listener.dataRow(bytes, at);
        break;
      case READY_FOR_QUERY:
        listener.readyForQuery(String.fromCharCode(bytes[at] as number)); // its one field
        break;
      case COMMAND_COMPLETE:
        listener.commandComplete(bytes.toString("latin1", at, end - 1));
        break;
      case ROW_DESCRIPTION:
        listener.rowDescription(bytes.toString("latin1", at, end), () => fieldsIn(bytes, at));
        break;
      case PARSE_COMPLETE:
        listener.parseComplete();
        break;
      case PORTAL_SUSPENDED:
        listener.portalSuspended();
        break;
      case EMPTY_QUERY:
        listener.emptyQuery();
        break;
      case ERROR:
        listener.refused(errorIn(bytes, at, end));
        break;
      case COPY_IN:
        listener.copyIn();
        break;
      case COPY_DATA:
        listener.copyData(Buffer.from(bytes.subarray(at, end)));
        break;
      case NOTIFICATION: {
        const channel = cstring(bytes, at + 4); // after the number of the process
        listener.notification(channel.text, cstring(bytes, channel.end).text);
        break;
      }
      case PARAMETER_STATUS: {
        const name = cstring(bytes, at);
        listener.parameterStatus(name.text, cstring(bytes, name.end).text);
        break;
      }
      default: // nothing that anybody asks for: BindComplete, NoData, notices, ...
    }
  }
}

function fieldsIn(bytes: Buffer, start: number): WireField[] {
  const fields: WireField[] = [];
  let at = start + 2;
  for (let left = bytes.readInt16BE(start); left > 0; left--) {
    const name = cstring(bytes, at);
    // Then the table and the column in it, the type, its size and modifier, and the format.
    fields.push({ name: name.text, type: bytes.readUInt32BE(name.end + 6) });
    at = name.end + 18;
  }
  return fields;
}

/** The error of the server, as `pg` has it. */
function errorIn(bytes: Buffer, start: number, end: number): ServerError {
  const fields: Record<string, string> = {};
  for (let at = start; at < end && bytes[at] !== 0; ) {
    const { text, end: next } = cstring(bytes, at + 1);
    fields[String.fromCharCode(bytes[at] as number)] = text; // it is in range
    at = next;
  }
  const error = new pg.DatabaseError(fields.M ?? "the server has failed", end - start, "error");
  for (const [name, letter] of ERROR_FIELDS) error[name] = fields[letter];
  return error as ServerError;
}

const ERROR_FIELDS = [
  ["severity", "S"],
  ["code", "C"],
  ["detail", "D"],
  ["hint", "H"],
  ["position", "P"],
  ["internalPosition", "p"],
  ["internalQuery", "q"],
  ["where", "W"],
  ["schema", "s"],
  ["table", "t"],
  ["column", "c"],
  ["dataType", "d"],
  ["constraint", "n"],
  ["file", "F"],
  ["line", "L"],
  ["routine", "R"],
] as const;

function cstring(bytes: Buffer, start: number): { readonly text: string; readonly end: number } {
  const end = bytes.indexOf(0, start);
  return { text: bytes.toString("utf8", start, end), end: end + 1 };
}

const code = (letter: string): number => letter.charCodeAt(0);
const DATA_ROW = code("D");
const READY_FOR_QUERY = code("Z");
const COMMAND_COMPLETE = code("C");
const ROW_DESCRIPTION = code("T");
const PARSE_COMPLETE = code("1");
const PORTAL_SUSPENDED = code("s");
const EMPTY_QUERY = code("I");
const ERROR = code("E");
const COPY_IN = code("G");
const COPY_DATA = code("d");
const NOTIFICATION = code("A");
const PARAMETER_STATUS = code("S");
