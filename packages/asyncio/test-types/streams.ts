// Compiled, never run: each statement is a claim about types.

import {
  type Address,
  type CipherInfo,
  type Connection,
  openConnection,
  openUnixConnection,
  type Server,
  type StreamReader,
  type StreamWriter,
  startServer,
} from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

const [reader, writer] = await openConnection("localhost", 80);
expectType<Equal<typeof reader, StreamReader>>();
expectType<Equal<typeof writer, StreamWriter>>();
const named = await openConnection({ host: "localhost", port: 80, limit: 100 });
expectType<Equal<typeof named, Connection>>();
expectType<Equal<typeof named.writer, StreamWriter>>();
// @ts-expect-error no port
openConnection("localhost");
// @ts-expect-error no such option
openConnection("localhost", 80, { limits: 1 });

expectType<Equal<ReturnType<typeof reader.readLine>, Promise<Uint8Array>>>();
const textLine = await reader.readLine({ encoding: "utf-8", limit: 10 });
expectType<Equal<typeof textLine, string | undefined>>();
const bytesLine = await reader.readLine({ limit: 10 });
expectType<Equal<typeof bytesLine, Uint8Array>>();
const field = await reader.readUntil([";", "\n"], { encoding: "latin1" });
expectType<Equal<typeof field, string>>();
const bytesField = await reader.readUntil(";", { limit: 10 });
expectType<Equal<typeof bytesField, Uint8Array>>();
// @ts-expect-error no such option
reader.readLine({ encodng: "utf-8" });
const parsed = await reader.parse((input) => [
  input.readLine({ encoding: "utf-8" }),
  input.readLine(),
  input.readExactly(1),
  input.readExactly(1, { encoding: "utf-8" }).length.toFixed(),
  input.readUntil(";"),
  input.readUntil(";", { encoding: "utf-8" }).trim(),
]);
expectType<Equal<typeof parsed, (string | Uint8Array)[] | undefined>>();
expectType<Equal<ReturnType<typeof reader.waitEof>, Promise<void>>>();
for await (const line of reader) expectType<Equal<typeof line, Uint8Array>>();
for await (const line of reader.lines()) expectType<Equal<typeof line, string>>();
for await (const chunk of reader.chunks()) expectType<Equal<typeof chunk, Uint8Array>>();
for await (const text of reader.chunks({ encoding: "utf-8" }))
  expectType<Equal<typeof text, string>>();
// @ts-expect-error neither text nor bytes
reader.readUntil(10);

const peer = writer.getExtraInfo("peername");
expectType<Equal<typeof peer, Address | undefined>>();
const cipher = writer.getExtraInfo("cipher");
expectType<Equal<typeof cipher, CipherInfo | undefined>>();
const protocol = writer.getExtraInfo("alpnProtocol");
expectType<Equal<typeof protocol, string | undefined>>();
// @ts-expect-error no such thing
writer.getExtraInfo("colour");
// @ts-expect-error neither text nor bytes
writer.write(1);

const server = await startServer(
  async (reader, writer) => {
    expectType<Equal<typeof reader, StreamReader>>();
    await writer.write("x");
  },
  "127.0.0.1",
  0,
);
expectType<Equal<typeof server, Server>>();
const { port } = server.sockets[0];
expectType<Equal<typeof port, number>>();
// @ts-expect-error the host comes before the port
startServer(async () => {}, 80);

await openConnection("localhost", 443, { tls: true });
await openConnection("localhost", 443, { tls: { ca: new Uint8Array(), alpnProtocols: ["h2"] } });
// @ts-expect-error no such version
openConnection("localhost", 443, { tls: { minVersion: "SSLv3" } });
// @ts-expect-error a server has no default certificate
startServer(async () => {}, { tls: true });
// @ts-expect-error over a Unix socket nobody knows the name of the server
openUnixConnection("/run/socket", { tls: {} });
