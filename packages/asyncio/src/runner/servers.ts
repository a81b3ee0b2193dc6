/**
 * Servers that are not ours: the host tells how many it has open, and not whose they are. It does
 * not tell those that listen to a path from other pipes.
 */

const { process } = globalThis as {
  process?: { getActiveResourcesInfo?(): string[] };
};

/** How many servers of the process listen to ports; 0 where the host does not tell. */
export function listeningServers(): number {
  const kinds = process?.getActiveResourcesInfo?.() ?? [];
  return kinds.filter((kind) => kind === "TCPServerWrap").length;
}
