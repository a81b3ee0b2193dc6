// The client of all echo servers, on bare node:net. It opens its connections and says so; for each
// line on its standard input it then has so many messages echoed on every connection, one after the
// other, and says how long that took. When its input ends it resets the connections, so that none
// lingers.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

export interface ClientPlan {
  readonly port: number;
  readonly connections: number;
  readonly messageBytes: number;
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
  const socket = connect({ host: "127.0.0.1", port: plan.port, noDelay: true });
  await once(socket, "connect");
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
  await Promise.all(sockets.map((socket) => converse(socket, messages, tookMs)));
  const seconds = (performance.now() - startedAt) / 1000;
  tookMs.sort((a, b) => a - b);
  const finding: EchoFinding = {
    seconds,
    medianMs: tookMs[Math.floor(tookMs.length / 2)] ?? Number.NaN,
    slowestOfHundredMs: tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN,
  };
  console.log(JSON.stringify(finding));
}
for (const socket of sockets) socket.resetAndDestroy();
