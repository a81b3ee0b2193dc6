// A proxy for programs that speak SOCKS 5 or CONNECT. Start it with `node examples/socks/main.ts`,
// go through it with `curl --socks5-hostname 127.0.0.1:1080 http://example.org/` or with `curl
// --proxytunnel --proxy 127.0.0.1:1080 http://example.org/`, and stop it with Ctrl-C. How it works
// is in socks.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, type HostAndPort, number, runProgram, UsageError } from "../command-line.ts";
import { type SocksSummary, serveSocks } from "./socks.ts";

const usage = `Usage: node examples/socks/main.ts [options]

Connects clients to wherever they say.

  --listen HOST:PORT    where to listen (default: 127.0.0.1:1080)
  --user NAME:PASSWORD  who may; may be given several times (default: all)
  --ports LIST          where to, as in 80,443 (default: all ports)
  --request SECONDS     what a client may take to say what it wants (default: 10)
  --connect SECONDS     what connecting may take (default: 10)
  --idle SECONDS        how long nothing may come from either side (default: 300)
  --connections N       connections at the same time; more have to wait
                        (default: 1000)
  --help                print this text`;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", default: "127.0.0.1:1080" },
      user: { type: "string", multiple: true, default: [] },
      ports: { type: "string" },
      request: { type: "string", default: "10" },
      connect: { type: "string", default: "10" },
      idle: { type: "string", default: "300" },
      connections: { type: "string", default: "1000" },
    },
  });
  const users = values.user.map((text) => {
    const [, name = "", password = ""] = /^([^:]+):(.+)$/.exec(text) ?? [];
    if (name === "") throw new UsageError(`--user has to be NAME:PASSWORD, not ${text}`);
    return [name, password] as const;
  });
  const ports = values.ports?.split(",").map((port) => number("--ports", port, 1));
  return {
    at: address("--listen", values.listen),
    users: users.length > 0 ? new Map(users) : undefined,
    allows: ({ port }: HostAndPort) => ports?.includes(port) ?? true,
    requestSeconds: number("--request", values.request),
    connectSeconds: number("--connect", values.connect),
    idleSeconds: number("--idle", values.idle),
    maxConnections: number("--connections", values.connections, 1),
  };
}

function print({ client, target, sent, received, seconds, ending }: SocksSummary): void {
  const goal = target === undefined ? "nowhere" : `${target.host}:${target.port}`;
  console.log(
    `${client} to ${goal} sent ${sent} B, received ${received} B in ${seconds.toFixed(1)} s: ${ending}`,
  );
}

await runProgram(usage, readOptions, async ({ at, maxConnections, ...options }) => {
  const handler = serveSocks({ ...options, onEnd: print });
  await using server = await asyncio.startServer(handler, { ...at, maxConnections });
  const { host, port } = server.sockets[0];
  console.log(`socks: listening on ${host}:${port}`);
  await server.serveForever();
});
