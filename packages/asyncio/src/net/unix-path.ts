/**
 * The path of a Unix socket in the file system. The host removes the path that it has bound when the listener is closed,
 * even if by then it belongs to somebody else. So a socket is bound to a name of its own beside the path, and moved to the
 * path when it listens; on close the path is removed if the socket there is still ours (S149). Moving also replaces
 * what a process that crashed has left there, without a moment in which there is nothing.
 */

import { hostError } from "../kernel/network.ts";

/** Longest path of a Unix socket, in bytes, that all systems take. */
const LONGEST_PATH = 103;

export interface UnixPath {
  readonly path: string;
  /** What the host binds. */
  readonly bound: string;
  /** Moves what was bound to `path`. */
  publish(): void;
  /** True iff `path` is the one that this listener has made, and has to remove. */
  isOurs(): boolean;
}

const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** Prepares `path` for a listener. @throws an error with the code EADDRINUSE if something other than a socket is there. */
export function takePath(path: string, cleanup: boolean): UnixPath {
  const stats = statOf(path);
  if (stats !== undefined && !stats.isSocket())
    throw hostError("EADDRINUSE", "listen", { host: "", port: 0, path });
  const bound = temporaryName(path);
  let ours: { readonly dev: number; readonly ino: number } | undefined;
  return {
    path,
    bound,
    publish() {
      if (bound === path) return;
      fs().renameSync(bound, path);
      ours = statOf(path);
    },
    isOurs() {
      const now = statOf(path);
      return cleanup && ours !== undefined && now?.ino === ours.ino && now.dev === ours.dev;
    },
  };
}

/** Removes the path of a listener that was closed. */
export function releasePath(path: UnixPath): void {
  if (path.isOurs()) fs().rmSync(path.path, { force: true });
}

/** A name beside `path`; `path` itself where there are no names to move: pipes of Windows, abstract sockets of Linux. */
function temporaryName(path: string): string {
  const isAbstract = path.startsWith("\0") || process.platform === "win32";
  const name = `${path.slice(0, path.lastIndexOf("/") + 1)}.${process.pid.toString(36)}${(count++).toString(36)}`;
  return isAbstract || name.length > LONGEST_PATH ? path : name;
}
let count = 0;

function statOf(path: string): import("node:fs").Stats | undefined {
  return fs().statSync(path, { throwIfNoEntry: false });
}
