// Sends lines to whoever connects: as many as the first line that comes asks for, then the end.

import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** A line of a log, more or less. */
const line = `${"2026-11-29T12:00:00Z GET /page/".padEnd(79, "x")}\n`;
const linesAtOnce = 800;
const block = Buffer.from(line.repeat(linesAtOnce));

const open = new Set<Socket>();
const server = createServer((socket) => {
  open.add(socket);
  socket.on("error", () => {}); // there may be a reader that has ended first
  socket.on("close", () => open.delete(socket));
  socket.once("data", (asked) => {
    let left = Number(asked.toString());
    const send = (): void => {
      while (left > 0) {
        const count = Math.min(left, linesAtOnce);
        left -= count;
        const goesOn = socket.write(block.subarray(0, count * line.length));
        if (!goesOn) {
          socket.once("drain", send);
          return;
        }
      }
      socket.end();
    };
    send();
  });
});
server.listen({ host: "127.0.0.1", port: 0 }, () => {
  const address = server.address();
  console.log(JSON.stringify({ port: typeof address === "object" ? address?.port : 0 }));
  const input = createInterface({ input: process.stdin });
  input.on("close", () => {
    server.close();
    for (const socket of open) socket.destroy();
  });
});
