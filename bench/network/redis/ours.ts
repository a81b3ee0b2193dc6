// A Redis-like server on the streams of asyncio-ts: what is buffered is parsed in one step, and
// answered in one write.

import { type ParserInput, run, startServer } from "asyncio-ts";
import { serve } from "../service.ts";
import { Store } from "./commands.ts";

const text = { encoding: "latin1" };

/** "*2\r\n$3\r\nGET\r\n$1\r\na\r\n": how many parts, and each with its length before it. */
function command(input: ParserInput): string[] {
  const parts: string[] = [];
  const count = number(input);
  for (let part = 0; part < count; part++) {
    parts.push(input.readExactly(number(input), text));
    input.skip(2);
  }
  return parts;
}

/** The line has a byte before the number, which says what is counted. */
function number(input: ParserInput): number {
  input.skip(1);
  return Number(input.readLine(text));
}

const commands = (input: ParserInput): string[][] => input.all(command);

await run(async () => {
  const store = new Store();
  let open = 0;
  const server = await startServer(
    async (reader, writer) => {
      open++;
      try {
        for (;;) {
          const found = await reader.parse(commands);
          if (found === undefined) break;
          let answers = "";
          for (const parts of found) answers += store.execute(parts);
          await writer.write(answers);
        }
      } finally {
        open--;
      }
    },
    { host: "127.0.0.1", port: 0, backlog: 1024 },
  );
  const ended = Promise.withResolvers<void>();
  serve(server.sockets[0].port, () => open, ended.resolve);
  await ended.promise;
  server.close();
  server.abortClients();
  await server.waitClosed();
});
