// The server that pages are fetched from: each takes 10 milliseconds, and every tenth is an error.

import { createServer } from "node:http";
import type { Socket } from "node:net";
import { serve } from "../network/service.ts";

const page = "x".repeat(2048);
const open = new Set<Socket>();
const server = createServer(({ url = "" }, response) => {
  setTimeout(() => {
    response.statusCode = url.endsWith("0") ? 500 : 200;
    response.end(page);
  }, 10);
});
server.on("connection", (socket) => {
  open.add(socket);
  socket.on("close", () => open.delete(socket));
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  serve(port, () => open.size, close);
});
