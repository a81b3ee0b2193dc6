/**
 * The other side of `bench/web.ts`, in the process of a server: says where it listens, and what it
 * has cost so far.
 */

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import * as asyncio from "asyncio-ts";

/** Tells the parent process, and waits until that goes. */
export async function servedTo(server: Server): Promise<void> {
  if (!server.listening) await once(server, "listening");
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuSeconds: (user + system) / 1e6 });
  });
  process.send?.({ port: (server.address() as AddressInfo).port });
  await asyncio.cancellable(() => once(process, "disconnect"));
  server.close();
  if ("closeAllConnections" in server) (server.closeAllConnections as () => void)();
}
