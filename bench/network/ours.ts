// An echo server on the streams of asyncio-ts, with the argument "tls" on TLS.

import { run, startServer } from "asyncio-ts";
import { certificate, chunkSize, serve } from "./service.ts";

const tls = process.argv[2] === "tls" ? certificate() : undefined;

await run(async () => {
  let open = 0;
  const server = await startServer(
    async (reader, writer) => {
      open++;
      try {
        for (;;) {
          const chunk = await reader.read(chunkSize);
          if (chunk.length === 0) break;
          await writer.write(chunk);
        }
      } catch {
        // the client resets its connections
      } finally {
        open--;
      }
    },
    { host: "127.0.0.1", port: 0, backlog: 1024, tls },
  );
  const ended = Promise.withResolvers<void>();
  serve(server.sockets[0].port, () => open, ended.resolve);
  await ended.promise;
  server.close();
  server.abortClients();
  await server.waitClosed();
});
