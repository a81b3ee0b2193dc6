/** Listening, and going down: new requests are refused, those that run get some time, then they end. */

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { OpenAPIHono } from "@hono/zod-openapi";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import type { Service } from "./service.ts";

export interface ServeOptions {
  /** @default "127.0.0.1" */
  readonly host?: string | undefined;
  /** 0 for any that is free. @default 8080 */
  readonly port?: number | undefined;
  /** Seconds that requests have to end when the service goes down. @default 10 */
  readonly drain?: number | undefined;
}

/**
 * Serves until the call is cancelled, as Ctrl-C and SIGTERM do. `body` runs beside it, with the
 * address that is listened at; when it has ended by itself, so does the serving.
 * @throws the host's error if the port is taken.
 */
export async function serve(
  app: Pick<OpenAPIHono, "fetch">,
  service: Service,
  options: ServeOptions,
  body: (address: string) => Promise<void>,
): Promise<void> {
  const { host = "127.0.0.1", port = 8080, drain = 10 } = options;
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  server.listen(port, host);
  try {
    await once(server, "listening");
    const { address, port: found, family } = server.address() as AddressInfo;
    await body(`http://${family === "IPv6" ? `[${address}]` : address}:${found}`);
  } finally {
    service.beginShutdown();
    await new asyncio.CancelScope({ shield: true }).run(async () => {
      await close(server, drain);
      await service.waitIdle(); // a request that was cut still has to give back what it took
    });
  }
}

async function close(server: Server, drain: number): Promise<void> {
  if (!server.listening) return;
  server.close(); // ends idle connections, too
  const ended = await asyncio.moveOnAfter(drain, () => once(server, "close"));
  if (!ended.cancelled) return;
  server.closeAllConnections(); // their requests are cancelled by it
  await once(server, "close");
}
