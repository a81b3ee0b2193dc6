/** Servers that are not ours: the host tells how many it has open, and not whose they are. */

const { process } = globalThis as {
  process?: { getActiveResourcesInfo?(): string[] };
};

/** How many servers of the process listen; 0 where the host does not tell. */
export function listeningServers(): number {
  const kinds = process?.getActiveResourcesInfo?.() ?? [];
  return kinds.filter((kind) => kind === "TCPServerWrap" || kind === "PipeServerWrap").length;
}
