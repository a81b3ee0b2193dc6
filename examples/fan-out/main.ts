// A hub for WebSockets: what a client says on ws://HOST:PORT/TOPIC goes to all others there. Start
// it with `npm start --prefix examples/fan-out`, which installs the package `ws` when it is
// missing, and stop it with Ctrl-C: clients get a good-bye. How it works is in hub.ts and
// socket.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, number, runProgram } from "../command-line.ts";
import { Hub } from "./hub.ts";

const usage = `Usage: npm start --prefix examples/fan-out -- [options]

  --listen HOST:PORT  where to listen (default: 127.0.0.1:8000)
  --outbox N          messages that wait for a listener who is slow; then the
                      oldest give way (default: 100)
  --bytes N           what a message may have (default: 65536)
  --ping SECONDS      between asking clients whether they are there (default: 30)
  --connections N     clients at the same time; more have to wait (default: 1000)
  --help              print this text`;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", default: "127.0.0.1:8000" },
      outbox: { type: "string", default: "100" },
      bytes: { type: "string", default: "65536" },
      ping: { type: "string", default: "30" },
      connections: { type: "string", default: "1000" },
    },
  });
  return {
    at: address("--listen", values.listen),
    maxConnections: number("--connections", values.connections, 1),
    outbox: number("--outbox", values.outbox, 1),
    maxBytes: number("--bytes", values.bytes, 1),
    pingSeconds: number("--ping", values.ping, 0.1),
    requestSeconds: 10,
  };
}

await runProgram(usage, readOptions, async ({ at, maxConnections, ...options }) => {
  const hub = new Hub(options);
  await using server = await asyncio.startServer(hub.serve, { ...at, maxConnections });
  const { host, port } = server.sockets[0];
  console.log(`fan-out: listening on ${host}:${port}`);
  await server.serveForever();
});
