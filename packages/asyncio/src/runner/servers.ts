/**
 * Servers that are not ours: the host tells how many it has open, and not whose they are. It does
 * not tell those that listen to a path from other pipes.
 */

import { realHost } from "../kernel/host.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { globals } from "../ports/globals.ts";
import { turnOf } from "./shutdown.ts";

/** How many servers of the process listen to ports; 0 where the host does not tell. */
export function listeningServers(): number {
  const kinds = globals.process?.getActiveResourcesInfo?.() ?? [];
  return kinds.filter((kind) => kind === "TCPServerWrap").length;
}

/** Main has ended: reports servers that still listen, if more do than when the run began. */
export async function reportServers(loop: EventLoop, before: number): Promise<void> {
  if (loop.host !== realHost || listeningServers() <= before) return;
  // What was closed just now counts until the host has had its turn.
  for (let turn = 0; turn < 2; turn++) await turnOf(realHost);
  const count = listeningServers() - before;
  if (count <= 0) return;
  const what = count === 1 ? "a server still listens" : `${count} servers still listen`;
  const message = `main has ended, and ${what}: handlers cannot use this run any more. Let main wait until the server may be closed`;
  loop.callExceptionHandler({ message });
}
