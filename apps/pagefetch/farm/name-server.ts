/** A name server on loopback (RFC 1035): answers for A and AAAA from a list, or does not answer. */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv4 } from "node:net";

export interface NameServer {
  /** As `setServers` of node:dns takes it. */
  readonly address: string;
  /** The names that it was asked for, one for each question. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** What is known of a name: addresses; or a fault. */
export type Zone = Readonly<Record<string, readonly string[] | "silent" | "fails">>;

/** Answers are good for `ttl` seconds. */
export async function openNameServer(zone: Zone, ttl = 30): Promise<NameServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (question, from) => {
    const name = nameIn(question);
    asked.push(name);
    const known = zone[name];
    if (known === "silent") return;
    socket.send(answerTo(question, name.length + 2, known, ttl), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async close() {
      socket.close();
      await once(socket, "close");
    },
  };
}

const HEADER = 12;

function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = HEADER; (question[at] ?? 0) > 0; at += 1 + (question[at] ?? 0))
    labels.push(question.toString("latin1", at + 1, at + 1 + (question[at] ?? 0)));
  return labels.join(".").toLowerCase();
}

function answerTo(
  question: Buffer,
  nameLength: number,
  known: readonly string[] | "fails" | undefined,
  ttl: number,
): Buffer {
  const type = question.readUInt16BE(HEADER + nameLength);
  const wantsIPv4 = type === 1;
  const found = Array.isArray(known) ? known.filter((one) => isIPv4(one) === wantsIPv4) : [];
  const header = Buffer.from(question.subarray(0, HEADER));
  const code = known === "fails" ? 2 : known === undefined ? 3 : 0;
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found.length, 6);
  header.writeUInt32BE(0, 8);
  const records = found.map((address: string) => {
    const data = wantsIPv4 ? Buffer.from(address.split(".").map(Number)) : bytesOf(address);
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc00c, 0); // the name of the question
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttl, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([header, question.subarray(HEADER, HEADER + nameLength + 4), ...records]);
}

/** Of an IPv6 address that is written with one `::`. */
function bytesOf(address: string): Buffer {
  const [start = "", end = ""] = address.split("::");
  const words = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(start), words(end)];
  const all = [...first, ...new Array(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}
