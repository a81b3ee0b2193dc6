// With node:readline, as its documentation shows it.

import { connect } from "node:net";
import { createInterface } from "node:readline";
import { perform } from "./stage.ts";

await perform(async (port, count, tally) => {
  const socket = connect({ host: "127.0.0.1", port });
  socket.write(String(count));
  for await (const line of createInterface({ input: socket, crlfDelay: Infinity }))
    tally.line(line);
});
