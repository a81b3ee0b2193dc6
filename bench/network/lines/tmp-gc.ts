// With the reader of asyncio-ts.

import { openConnection, run } from "/tmp/w/e5/index.js";
import { perform } from "./stage.ts";

await run(() =>
  perform(async (port, count, tally) => {
    await using connection = await openConnection("127.0.0.1", port);
    const { reader, writer } = connection;
    await writer.write(String(count));
    for await (const line of reader.lines()) tally.line(line);
  }),
);
