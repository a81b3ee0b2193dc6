// A chat server. Start it with `node examples/chat/main.ts`, talk to it with `nc 127.0.0.1 7000`,
// and stop it with Ctrl-C: members get a last line, and the process ends as a shell expects. What
// it does is in chat.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, number, runProgram } from "../command-line.ts";
import { Chat } from "./chat.ts";

const usage = `Usage: node examples/chat/main.ts [options]

  --listen HOST:PORT  where to listen (default: 127.0.0.1:7000)
  --outbox N          messages that may wait for a member who does not read; one
                      more, and the member is dropped (default: 100)
  --help              print this text`;

/** Members who do not read their last lines are not waited for any longer. */
const goodbyeSeconds = 1;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      listen: { type: "string", default: "127.0.0.1:7000" },
      outbox: { type: "string", default: "100" },
    },
  });
  return {
    at: address("--listen", values.listen),
    outbox: number("--outbox", values.outbox, 1),
  };
}

await runProgram(usage, readOptions, async ({ at, outbox }) => {
  const chat = new Chat({ outbox });
  const server = await asyncio.startServer(chat.serve, at);
  const { host, port } = server.sockets[0];
  console.log(`chat: listening on ${host}:${port}`);
  try {
    await server.waitClosed();
  } finally {
    chat.end();
    await asyncio.cleanup(goodbyeSeconds + 1, () => server.shutdown(goodbyeSeconds));
  }
});
