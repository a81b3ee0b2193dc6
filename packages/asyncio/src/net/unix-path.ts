/**
 * The path of a Unix socket in the file system. The host removes the path that it has bound when the listener is closed,
 * even if by then it belongs to somebody else. So a socket is bound to a name of its own beside the path, and moved to the
 * path when it listens; on close the path is removed if the socket there is still ours (S149). Moving also replaces
 * what a process that crashed has left there, without a moment in which there is nothing.
 */

import { argumentError, rangeError } from "../kernel/errors.ts";
import { hostError } from "../ports/network.ts";

/** Longest path of a Unix socket, in bytes; libuv cuts off what is longer, and says nothing. */
const longestPath = (): number => (process.platform === "linux" ? 107 : 103);
/** Names that are tried beside a path before it is given up. */
const MOST_NAMES = 10;

export interface UnixPath {
  readonly path: string;
  /** What the host binds. */
  readonly bound: string;
  /** Chooses another `bound`, because something has that name. False iff there is no other. */
  rename(): boolean;
  /** An error of the host, in which `path` stands for what was bound. */
  explain(error: Error): Error;
  /** Moves what was bound to `path`. */
  publish(): void;
  /** True iff `path` is the one that this listener has made, and has to remove. */
  isOurs(): boolean;
}

const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** @throws TypeError, RangeError unless a Unix socket can have that path, or a named pipe of Windows that name. */
export function checkUnixPath(api: string, path: string): void {
  if (typeof path !== "string") throw argumentError(api, "a path", path);
  if (path === "") throw rangeError(api, "a path of 1 character or more", path);
  // Named pipes of Windows may be longer, and a simulated network may run where there is no system at all.
  const isPosix = typeof process !== "undefined" && process.platform !== "win32";
  const longest = isPosix ? longestPath() : Number.POSITIVE_INFINITY;
  const length = lengthOf(path);
  if (length > longest)
    throw new RangeError(
      `${api} expects a path of at most ${longest} bytes, got one of ${length}: ${path}. Change the working directory, and pass a relative one`,
    );
}

/** Prepares `path` for a listener. @throws an error with the code EADDRINUSE if something other than a socket is there. */
export function takePath(path: string, cleanup: boolean): UnixPath {
  if (!isFile(path)) {
    const keep = { rename: () => false, explain: (error: Error) => error };
    return { path, bound: path, ...keep, publish() {}, isOurs: () => false };
  }
  const stats = statOf(path);
  if (stats !== undefined && !stats.isSocket())
    throw hostError("EADDRINUSE", "listen", { host: "", port: 0, path });
  let bound = temporaryName(path);
  // No room for another name: the host's own ways, and what a process that crashed has left has to go first.
  if (bound === path && stats !== undefined) fs().rmSync(path);
  let names = 1;
  let ours: { readonly dev: number; readonly ino: number } | undefined;
  return {
    path,
    get bound() {
      return bound;
    },
    rename() {
      if (bound === path || names++ >= MOST_NAMES) return false;
      bound = temporaryName(path);
      return true;
    },
    explain(error) {
      if (bound === path) return error;
      error.message = error.message.replace(bound, path);
      return Object.assign(error, { address: path });
    },
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

/** False for pipes of Windows and for abstract sockets of Linux: they go with their listener. */
function isFile(path: string): boolean {
  return !path.startsWith("\0") && process.platform !== "win32";
}

/** A name beside `path`, or `path` itself if that would be too long. */
function temporaryName(path: string): string {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const name = `${folder}.${Math.random().toString(36).slice(2, 10)}`;
  return lengthOf(name) > longestPath() ? path : name;
}

function lengthOf(path: string): number {
  return new TextEncoder().encode(path).length;
}

function statOf(path: string): import("node:fs").Stats | undefined {
  return fs().statSync(path, { throwIfNoEntry: false });
}
