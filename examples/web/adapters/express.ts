/**
 * Express: two ways. A handler is wrapped; or a middleware, which cannot await a handler, waits for
 * the response.
 */

import { once } from "node:events";
import * as asyncio from "asyncio-ts";
import createApp, { type Express, type Request, type RequestHandler, type Response } from "express";
import { type Adapter, running, type Service } from "./service.ts";

/**
 * Gives every request that `handler` answers a scope of its own. Its failures go to Express, as of
 * any async handler.
 */
export function scoped<P>(
  handler: (request: Request<P>, response: Response) => Promise<unknown>,
): RequestHandler<P> {
  return (request, response) =>
    asyncio.requestScope({ request, response }, () => handler(request, response));
}

/** Gives every request that passes a scope, which ends when its response has closed. */
export const scopeUntilClosed: RequestHandler = (request, response, next) => {
  const client = { request, response };
  asyncio
    .requestScope(client, async () => {
      next();
      if (!response.closed) await once(response, "close");
    })
    .catch(next);
};

function answerErrors(app: Express): void {
  // Express knows handlers of errors by their four parameters.
  app.use((error: Error, _request: Request, response: Response, _next: () => void) => {
    // The client has left, or the server goes down: no failure. By itself Express would print it.
    if (error instanceof asyncio.CancelledError) response.status(503).end();
    else response.status(500).send(error.message);
  });
}

export const express: Adapter = (service) => {
  const app = createApp();
  app.get(
    "/hello/:name",
    scoped<{ name: string }>(async (request, response) =>
      response.send(await service.hello(request.params.name)),
    ),
  );
  app.get(
    "/wait",
    scoped(async (_request, response) => response.send(await service.wait())),
  );
  app.get(
    "/fail",
    scoped(async (_request, response) => response.send(await service.fail())),
  );
  answerErrors(app);
  return running(app.listen(0, "127.0.0.1"));
};

export const expressMiddleware: Adapter = (service: Service) => {
  const app = createApp();
  app.use(scopeUntilClosed);
  app.get("/hello/:name", async (request, response) => {
    response.send(await service.hello(request.params.name));
  });
  app.get("/wait", async (_request, response) => {
    response.send(await service.wait());
  });
  app.get("/fail", async (_request, response) => {
    response.send(await service.fail());
  });
  answerErrors(app);
  return running(app.listen(0, "127.0.0.1"));
};
