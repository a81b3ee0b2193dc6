// The client of all echo servers, on bare node:net, or node:tls. It opens its connections and says
// so; for each line on its standard input it then has so many messages echoed on every connection,
// and says how long that took: one after the other, or, if it streams, as fast as the server takes
// them. When its input ends it resets the connections, so that none lingers.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { connect as connectTls } from "node:tls";

export interface ClientPlan {
  readonly port: number;
  readonly connections: number;
  readonly messageBytes: number;
  readonly tls?: boolean;
  readonly streams?: boolean;
}

export interface EchoFinding {
  readonly seconds: number;
  /** From the sending of a message until its last byte is back, in milliseconds. */
  readonly medianMs: number;
  readonly slowestOfHundredMs: number;
}

/** So many connections are being opened at a time: the backlog of a server is finite. */
const opening = 100;

const plan = JSON.parse(process.argv[2] ?? "") as ClientPlan; // network.ts passes one
const message = Buffer.alloc(plan.messageBytes, "x");

async function open(): Promise<Socket> {
  const where = { host: "127.0.0.1", port: plan.port };
  const socket = plan.tls
    ? connectTls({ ...where, rejectUnauthorized: false })
    : connect({ ...where, noDelay: true });
  await once(socket, plan.tls ? "secureConnect" : "connect");
  socket.setNoDelay(true);
  socket.on("error", () => {}); // there may be a server that has ended first
  return socket;
}

/** Has the message echoed so many times; adds how long each took. */
function converse(socket: Socket, messages: number, tookMs: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = message.length;
    let left = messages;
    let sentAt = performance.now();
    const onData = (chunk: Buffer): void => {
      missing -= chunk.length;
      if (missing > 0) return;
      if (missing < 0) reject(new Error("more has come back than was sent"));
      const now = performance.now();
      tookMs.push(now - sentAt);
      if (--left === 0) {
        socket.off("data", onData);
        resolve();
        return;
      }
      missing = message.length;
      sentAt = now;
      socket.write(message);
    };
    socket.on("data", onData);
    socket.write(message);
  });
}

/** Sends all of them without waiting for the answers, and reads these. */
async function stream(socket: Socket, messages: number): Promise<void> {
  let missing = messages * message.length;
  const all = new Promise<void>((resolve) => {
    const onData = (chunk: Buffer): void => {
      missing -= chunk.length;
      if (missing > 0) return;
      socket.off("data", onData);
      resolve();
    };
    socket.on("data", onData);
  });
  for (let sent = 0; sent < messages; sent++)
    if (!socket.write(message)) await once(socket, "drain");
  await all;
}

const sockets: Socket[] = [];
while (sockets.length < plan.connections) {
  const count = Math.min(opening, plan.connections - sockets.length);
  sockets.push(...(await Promise.all(Array.from({ length: count }, open))));
}
console.log(JSON.stringify({ connected: sockets.length }));

for await (const line of createInterface({ input: process.stdin })) {
  const messages = Number(line);
  const tookMs: number[] = [];
  const startedAt = performance.now();
  const exchange = (socket: Socket): Promise<void> => {
    return plan.streams ? stream(socket, messages) : converse(socket, messages, tookMs);
  };
  await Promise.all(sockets.map(exchange));
  const seconds = (performance.now() - startedAt) / 1000;
  tookMs.sort((a, b) => a - b);
  const finding: EchoFinding = {
    seconds,
    medianMs: tookMs[Math.floor(tookMs.length / 2)] ?? Number.NaN,
    slowestOfHundredMs: tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN,
  };
  console.log(JSON.stringify(finding));
}
for (const socket of sockets) {
  if (plan.tls) socket.destroy();
  else socket.resetAndDestroy();
}
