/**
 * One route on Hono: bare; with each request in a scope; or in a scope that watches the response of
 * Node.
 */

import type { Server } from "node:net";
import { type HttpBindings, serve } from "@hono/node-server";
import * as asyncio from "asyncio-ts";
import { Hono } from "hono";
import { servedTo } from "./parent.ts";

const app = new Hono<{ Bindings: HttpBindings }>();
const [, , variant] = process.argv;
if (variant === "request") app.use((c, next) => asyncio.requestScope(c.req.raw, next));
if (variant === "response") {
  app.use((c, next) =>
    asyncio.requestScope({ request: c.env.incoming, response: c.env.outgoing }, next),
  );
}
app.get("/hello/:name", async (c) => c.json({ hello: c.req.param("name") }));

await asyncio.run(() =>
  servedTo(serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server),
);
