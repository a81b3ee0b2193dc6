/**
 * Hono: a middleware that awaits what comes behind it, so one line gives every request its scope.
 */

import type { Server } from "node:net";
import { type HttpBindings, serve } from "@hono/node-server";
import * as asyncio from "asyncio-ts";
import { Hono } from "hono";
import { type Adapter, running } from "./service.ts";

export const hono: Adapter = (service) => {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.use((c, next) =>
    asyncio.requestScope({ request: c.env.incoming, response: c.env.outgoing }, next),
  );
  app.onError((error, c) => {
    // The client has left, or the server is going down: no failure. By itself Hono would print it.
    if (error instanceof asyncio.CancelledError) return new Response(null, { status: 503 });
    return c.text(error.message, 500);
  });
  app.get("/hello/:name", async (c) => c.text(await service.hello(c.req.param("name"))));
  app.get("/wait", async (c) => c.text(await service.wait()));
  app.get("/fail", async (c) => c.text(await service.fail()));
  return running(serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server);
};
