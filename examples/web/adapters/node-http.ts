/** `node:http`: no framework answers for a failure, so the caller of the scope does. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import * as asyncio from "asyncio-ts";
import { type Adapter, running, type Service } from "./service.ts";

export const nodeHttp: Adapter = (service) => {
  const server = createServer((request, response) => {
    asyncio
      .requestScope({ request, response }, () => answer(service, request, response))
      .catch((error) => {
        if (error instanceof asyncio.CancelledError)
          response.destroy(); // the client has left
        else response.writeHead(500).end(error.message);
      });
  });
  return running(server.listen(0, "127.0.0.1"));
};

async function answer(
  service: Service,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [, route, name = ""] = (request.url ?? "").split("/");
  if (route === "hello") response.end(await service.hello(name));
  else if (route === "wait") response.end(await service.wait());
  else response.end(await service.fail());
}
