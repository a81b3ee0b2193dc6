/** Fastify: its hooks cannot await a handler, so each handler is wrapped when its route is made. */

import * as asyncio from "asyncio-ts";
import { fastify as createApp, type RouteHandlerMethod } from "fastify";
import { type Adapter, running } from "./service.ts";

/** Gives every request that `handler` answers a scope of its own. */
export function scoped(handler: RouteHandlerMethod): RouteHandlerMethod {
  return function (request, reply) {
    const client = { request: request.raw, response: reply.raw };
    // A handler may also answer at once.
    return asyncio.requestScope(client, () => Promise.resolve(handler.call(this, request, reply)));
  };
}

export const fastify: Adapter = async (service) => {
  const app = createApp();
  app.addHook("onRoute", (route) => {
    route.handler = scoped(route.handler);
  });
  app.setErrorHandler((error, _request, reply) => {
    // The client has left, or the server goes down: no failure. Fastify's logger would print it.
    if (error instanceof asyncio.CancelledError) return reply.code(503).send();
    return reply.send(error);
  });
  app.get<{ Params: { name: string } }>("/hello/:name", (request) =>
    service.hello(request.params.name),
  );
  app.get("/wait", () => service.wait());
  app.get("/fail", () => service.fail());
  await app.listen({ port: 0, host: "127.0.0.1" });
  return await running(app.server);
};
