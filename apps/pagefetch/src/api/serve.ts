/** Listening, and going down: new requests are refused, those that run get some time, then they end. */

import type { EventEmitter } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, Server as NetServer } from "node:net";
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
  const watched = watch(server);
  server.listen(port, host);
  try {
    await once(server, "listening");
    const { address, port: found, family } = server.address() as AddressInfo;
    await body(`http://${family === "IPv6" ? `[${address}]` : address}:${found}`);
  } finally {
    service.beginShutdown();
    await new asyncio.CancelScope({ shield: true }).run(async () => {
      await close(server, watched, drain);
      await service.waitIdle(); // a request that was cut still has to give back what it took
    });
  }
}

interface Watched {
  /** Set while no connection is open. */
  readonly gone: asyncio.Event;
  /** Set while each request has its whole answer. */
  readonly answered: asyncio.Event;
}

function watch(server: Server): Watched {
  const gone = new Open();
  const answered = new Open();
  server.on("connection", (socket) => gone.add(socket));
  server.on("request", (_, response) => answered.add(response));
  return { gone: gone.none, answered: answered.none };
}

/** Counts what has not said "close". */
class Open {
  /** Set while there is nothing. */
  readonly none = new asyncio.Event();
  #count = 0;

  constructor() {
    this.none.set();
  }

  add(one: EventEmitter): void {
    this.#count++;
    this.none.clear();
    one.once("close", () => {
      if (--this.#count === 0) this.none.set();
    });
  }
}

async function close(server: Server, { gone, answered }: Watched, drain: number): Promise<void> {
  if (!server.listening) return;
  // It stops listening. Its own `close` also cuts off answers that are written and not read yet.
  NetServer.prototype.close.call(server);
  const ended = await asyncio.moveOnAfter(drain, async () => {
    await answered.wait();
    server.close(); // ends idle connections
    await gone.wait();
  });
  if (!ended.cancelled) return;
  server.closeAllConnections(); // their requests are cancelled by it
  server.close();
  // The server says "close" before the last of them do, and with these end their answers.
  await gone.wait();
}
