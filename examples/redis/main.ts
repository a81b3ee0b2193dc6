// A Redis command line: `node examples/redis/main.ts set greeting hello` runs one command, and
// `node examples/redis/main.ts subscribe news` prints messages until Ctrl-C. The client is in
// redis.ts.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, runProgram, UsageError } from "../command-line.ts";
import { openRedis, type Redis, ReplyError, type Value } from "./redis.ts";

const usage = `Usage: node examples/redis/main.ts [options] COMMAND [arguments]
       node examples/redis/main.ts [options] subscribe CHANNEL...

  --server HOST:PORT  where Redis is (default: 127.0.0.1:6379)
  --help              print this text`;

function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { server: { type: "string", default: "127.0.0.1:6379" } },
  });
  const [command, ...rest] = positionals;
  if (command === undefined) throw new UsageError("there has to be a command");
  if (/^subscribe$/i.test(command) && rest.length === 0)
    throw new UsageError("there has to be a channel");
  return { server: address("--server", values.server), command, rest };
}

/** Prints the messages of all channels, until the program is cancelled. */
async function listen(redis: Redis, channels: readonly string[]): Promise<void> {
  await asyncio.taskGroup(async (group) => {
    for (const channel of channels)
      group.createTask(async () => {
        await using subscription = await redis.subscribe(channel);
        console.log(`subscribed to ${channel}`);
        for await (const message of subscription) console.log(`${channel}: ${message}`);
      });
  });
}

function show(value: Value): string {
  if (value === undefined) return "(nil)";
  if (Array.isArray(value) || value instanceof Set) return [...value].map(show).join("\n");
  if (value instanceof Map)
    return [...value].map(([key, of]) => `${show(key)}: ${show(of)}`).join("\n");
  return String(value);
}

await runProgram(usage, readOptions, async ({ server, command, rest }) => {
  await using redis = await openRedis(server);
  if (/^subscribe$/i.test(command)) return await listen(redis, rest);
  try {
    console.log(show(await redis.command(command, ...rest)));
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
});
