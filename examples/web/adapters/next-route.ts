/**
 * A route handler of Next: a function that gets a web Request and gives a Response. It is served
 * without Next here, by the adapter that Hono has for functions of this kind; Next calls it with a
 * Request of the same kind.
 */

import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import * as asyncio from "asyncio-ts";
import { type Adapter, running, type Service } from "./service.ts";

/** Gives every request that a route handler answers a scope of its own. */
export function scoped(
  handler: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await asyncio.requestScope(request, () => handler(request));
    } catch (error) {
      // The client has left, or the server goes down: no failure. By itself Next would print it.
      if (error instanceof asyncio.CancelledError) return new Response(null, { status: 503 });
      throw error;
    }
  };
}

export const nextRoute: Adapter = (service) => {
  const GET = scoped(async (request) => new Response(await answer(service, request)));
  const listener = getRequestListener(GET, {
    errorHandler: (error) => new Response((error as Error).message, { status: 500 }),
  });
  return running(createServer(listener).listen(0, "127.0.0.1"));
};

async function answer(service: Service, request: Request): Promise<string> {
  const [, route, name = ""] = new URL(request.url).pathname.split("/");
  if (route === "hello") return await service.hello(name);
  return await (route === "wait" ? service.wait() : service.fail());
}
