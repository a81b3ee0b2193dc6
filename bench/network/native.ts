// An echo server on bare node:net, with a listener and a write: the least that works.

import { createServer, type Socket } from "node:net";
import { serve } from "./service.ts";

const open = new Set<Socket>();
const server = createServer((socket) => {
  open.add(socket);
  socket.setNoDelay(true);
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => {}); // the client resets its connections
  socket.on("close", () => open.delete(socket));
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const close = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  serve(port, () => open.size, close);
});
