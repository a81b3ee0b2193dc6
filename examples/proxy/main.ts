// A TCP proxy. Start it with `node examples/proxy/main.ts example.org:80`, send something through
// it with `curl -H "Host: example.org" 127.0.0.1:8080`, and stop it with Ctrl-C. It prints a line
// for each connection that has ended. How it works is in proxy.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, number, runProgram } from "../command-line.ts";
import { proxyTo, type Summary } from "./proxy.ts";

const usage = `Usage: node examples/proxy/main.ts HOST:PORT [options]

Passes TCP connections on to HOST:PORT.

  --listen HOST:PORT   where to listen (default: 127.0.0.1:8080)
  --connect SECONDS    what connecting may take (default: 5)
  --idle SECONDS       how long nothing may come from either side (default: 60)
  --connections N      connections at the same time; more have to wait
                       (default: 1000)
  --help               print this text`;

function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      listen: { type: "string", default: "127.0.0.1:8080" },
      connect: { type: "string", default: "5" },
      idle: { type: "string", default: "60" },
      connections: { type: "string", default: "1000" },
    },
  });
  return {
    target: address("the target", positionals[0]),
    at: address("--listen", values.listen),
    connectSeconds: number("--connect", values.connect),
    idleSeconds: number("--idle", values.idle),
    maxConnections: number("--connections", values.connections, 1),
  };
}

function print({ client, sent, received, seconds, ending }: Summary): void {
  console.log(
    `${client} sent ${sent} B, received ${received} B in ${seconds.toFixed(1)} s: ${ending}`,
  );
}

await runProgram(usage, readOptions, async ({ at, maxConnections, ...options }) => {
  const handler = proxyTo({ ...options, onEnd: print });
  await using server = await asyncio.startServer(handler, { ...at, maxConnections });
  const { host, port } = server.sockets[0];
  console.log(`proxy: listening on ${host}:${port}`);
  await server.serveForever();
});
