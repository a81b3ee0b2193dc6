/**
 * A small service on Hono: `GET /quote/:symbol` asks two slow sources at once and gives the first
 * answer.
 *
 *     npm start --prefix examples/web
 *
 * Try it: press Ctrl-C while a request runs, or end `curl` before it has its answer. The scope of
 * the request ends its questions, and says so.
 */

import type { AddressInfo, Server } from "node:net";
import { serve } from "@hono/node-server";
import * as asyncio from "asyncio-ts";
import { Hono } from "hono";

/** Who asks: every log line has it, without being passed along. */
const caller = new asyncio.ContextVar<string>("caller");

function log(words: string): void {
  console.log(`${caller.get("-")}: ${words}`);
}

/** Stands for a query: it takes a while, and can be stopped. */
async function ask(source: string, seconds: number): Promise<string> {
  try {
    return await asyncio.sleep(seconds, `${source} says 42`);
  } catch (error) {
    log(`${source} was told to stop`);
    throw error;
  }
}

const app = new Hono();
app.use((c, next) => asyncio.requestScope(c.req.raw, next));
app.onError((error, c) => {
  // The client has left, or the server is going down: no failure.
  if (error instanceof asyncio.CancelledError) return new Response(null, { status: 503 });
  log(String(error));
  return c.text("Internal Server Error\n", 500);
});
app.get("/quote/:symbol", async (c) => {
  caller.set(c.req.param("symbol"));
  const answer = await asyncio.timeout(5, () =>
    asyncio.race(
      () => ask("the slow source", 4),
      () => ask("the quick source", 1),
    ),
  );
  log(answer);
  return c.text(`${answer}\n`);
});

await asyncio.run(async () => {
  const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 0) }) as Server;
  await asyncio.cancellable(() => new Promise((resolve) => server.once("listening", resolve)));
  const { port } = server.address() as AddressInfo;
  console.log(`curl http://127.0.0.1:${port}/quote/acme`);
  try {
    await asyncio.sleep(Number.POSITIVE_INFINITY);
  } finally {
    server.close();
  }
});
