// An echo server on bare node:net, with a listener and a write: the least that works. With the
// argument "tls" on node:tls, with "stream" by `stream.pipeline`.

import { createServer, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { certificate, serve } from "./service.ts";

const open = new Set<Socket>();
const [way] = process.argv.slice(2);
const echo = (socket: Socket): void => {
  open.add(socket);
  socket.setNoDelay(true);
  if (way === "stream") pipeline(socket, socket, () => {});
  else socket.on("data", (chunk) => socket.write(chunk));
  socket.on("error", () => {}); // the client resets its connections
  socket.on("close", () => open.delete(socket));
};
const server = way === "tls" ? createTlsServer(certificate(), echo) : createServer(echo);
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const close = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  serve(port, () => open.size, close);
});
