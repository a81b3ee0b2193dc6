/** One route on Fastify: bare, or with its handler in a scope. */

import * as asyncio from "asyncio-ts";
import { fastify } from "fastify";
import { scoped } from "../adapters/fastify.ts";
import { servedTo } from "./parent.ts";

const app = fastify();
const [, , variant] = process.argv;
if (variant !== "bare") {
  app.addHook("onRoute", (route) => {
    route.handler = scoped(route.handler);
  });
}
app.get<{ Params: { name: string } }>("/hello/:name", async (request) => ({
  hello: request.params.name,
}));

await asyncio.run(async () => {
  await app.listen({ port: 0, host: "127.0.0.1" });
  await servedTo(app.server);
});
