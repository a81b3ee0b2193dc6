// A load generator. `node examples/load/main.ts 127.0.0.1:7000` sends a line over 10 connections,
// again and again, and measures how long the answers take; Ctrl-C ends it early, with the summary
// of what there is. Something to load: `node examples/load/main.ts --echo 127.0.0.1:7000`. How it
// works is in load.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, type HostAndPort, number, runProgram } from "../command-line.ts";
import { type LoadOptions, load, Tally } from "./load.ts";
import { progressLine, summary } from "./report.ts";

const usage = `Usage: node examples/load/main.ts HOST:PORT [options]
       node examples/load/main.ts --echo HOST:PORT

Loads a server that answers a line with a line.

  --connections N  (default: 10)
  --seconds S      how long to measure (default: 10)
  --rate N         requests per second, of all connections together (default:
                   each connection asks again when it has its answer)
  --line TEXT      what to send (default: PING)
  --patience S     seconds that connecting or an answer may take (default: 5)
  --echo           is a server to load, which sends each line back
  --help           print this text`;

function readOptions(args: string[]): LoadOptions & { readonly isEcho: boolean } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      connections: { type: "string", default: "10" },
      seconds: { type: "string", default: "10" },
      rate: { type: "string" },
      line: { type: "string", default: "PING" },
      patience: { type: "string", default: "5" },
      echo: { type: "boolean", default: false },
    },
  });
  return {
    target: address("the target", positionals[0]),
    connections: number("--connections", values.connections, 1),
    seconds: number("--seconds", values.seconds),
    rate: values.rate === undefined ? undefined : number("--rate", values.rate, 0.001),
    line: values.line,
    patience: number("--patience", values.patience),
    isEcho: values.echo,
  };
}

async function echo(at: HostAndPort): Promise<void> {
  const handler: asyncio.ConnectionHandler = async (reader, writer) => {
    for await (const line of reader) await writer.write(line);
  };
  await using server = await asyncio.startServer(handler, at);
  const { host, port } = server.sockets[0];
  console.log(`echo: listening on ${host}:${port}`);
  await server.serveForever();
}

/** On a terminal one line that changes, elsewhere a line each time. */
async function showProgress(tally: Tally): Promise<void> {
  const { stderr } = process;
  for (;;) {
    await asyncio.sleep(1);
    stderr.write(stderr.isTTY ? `\r\x1b[K${progressLine(tally)}` : `${progressLine(tally)}\n`);
  }
}

await runProgram(usage, readOptions, async ({ isEcho, ...options }) => {
  if (isEcho) return await echo(options.target);
  const tally = new Tally();
  try {
    await asyncio.taskGroup(async (group) => {
      group.createTask(() => showProgress(tally), { name: "progress" });
      await load(options, tally);
      group.cancel(); // the progress line is all that is left
    });
  } finally {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    if (tally.startedAt !== undefined) process.stdout.write(summary(tally));
  }
});
