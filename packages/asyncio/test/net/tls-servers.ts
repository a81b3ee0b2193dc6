// Servers that the tests of TLS talk to.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import * as asyncio from "../../src/index.ts";
import { rejection } from "../virtual.ts";
import { ca, certificate } from "./certificates.ts";

const { openConnection, startServer } = asyncio;

export const text = (chunk: Uint8Array | undefined) => new TextDecoder().decode(chunk);
export const server = certificate("server");
export const local = "127.0.0.1";

export type Handler = asyncio.ConnectionHandler;

/** Sends every line back. */
export const echo: Handler = async (reader, writer) => {
  for await (const line of reader) await writer.write(line);
};

/** Serves by TLS on this machine, and gives a function that connects to it. */
export async function serve(handler: Handler, tls: asyncio.ServerTlsOptions = server) {
  const started = await startServer(handler, { host: local, tls });
  const { port } = started.sockets[0];
  const open = (options: asyncio.ClientTlsOptions = {}) =>
    openConnection({ host: local, port, tls: { ca, serverHostname: "localhost", ...options } });
  return { server: started, port, open };
}

/** A server of the host's own, which does with its sockets what it is told. */
export async function bareServer(onSocket: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const bare = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
    socket.resume();
  }).listen(0, local);
  await once(bare, "listening");
  const { port } = bare.address() as { port: number };
  const close = () => {
    for (const socket of sockets) socket.destroy();
    bare.close();
  };
  return { port, sockets, close };
}

/** Waits until a socket of the host has closed, whatever the error. */
export const closing = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });

/** The code of what `promise` rejects with. */
export const codeOf = async (promise: Promise<unknown>) =>
  ((await rejection(promise)) as { code?: unknown }).code;
