/**
 * The path of a Unix socket in the file system. The host removes the path that it has bound when
 * the listener is closed, even if by then it belongs to another program. So a socket is bound to a
 * name of its own beside the path, and moved to the path when it listens; on close the path is
 * removed if the socket there is still ours (S149). Moving also replaces what a process that
 * crashed has left there, without a moment in which there is nothing.
 *
 * A path may be so long that no other name fits beside it. Then the folder gets a shorter way: a
 * link to it, in the folder for temporary files, as long as the socket is being bound.
 */

import { advice, checkText, rangeError } from "../errors/errors.ts";
import { encodeText } from "../streams/encode.ts";
import { hostError } from "../streams/network.ts";

/** Longest path of a Unix socket, in bytes; libuv cuts off what is longer, and says nothing. */
const longestPath = (): number => (process.platform === "linux" ? 107 : 103);
/** Length of the names that are bound: a dot and eight characters. */
const TEMPORARY_NAME = 9;
/** Names that are tried beside a path before it is given up. */
const MOST_NAMES = 10;

export interface UnixPath {
  readonly path: string;
  /** What the host binds. */
  readonly bound: string;
  /** Chooses another `bound`, because something has that name. False if there is no other. */
  rename(): boolean;
  /** An error of the host, in which `path` stands for what was bound. */
  explain(error: Error): Error;
  /** Moves what was bound to `path`. */
  publish(): void;
  /** The listener is closed: removes `path`, if it is still its own, and what else there is. */
  release(): void;
}

const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/**
 * @throws TypeError, RangeError unless a Unix socket can have that path, or a named pipe of Windows
 * that name.
 */
export function checkUnixPath(api: string, path: string): void {
  checkText(api, "a path", path);
  if (path === "") throw rangeError(api, "a path of 1 character or more", path);
  checkNul(api, path);
  // Named pipes of Windows may be longer, and a simulated network may run where there is no system
  // at all.
  const isPosix = typeof process !== "undefined" && process.platform !== "win32";
  const longest = isPosix ? longestPath() : Number.POSITIVE_INFINITY;
  const length = lengthOf(path);
  if (length > longest)
    throw new RangeError(
      `${api} expects a path of at most ${longest} bytes, got one of ${length}: ${path}${advice("Change the working directory, and pass a relative one")}`,
    );
}

/**
 * For the system a path ends at a NUL, and hosts that do not look for one would take a socket of
 * another name.
 */
function checkNul(api: string, path: string): void {
  const mayBeAbstract = typeof process !== "undefined" && process.platform === "linux";
  const name = mayBeAbstract && path.startsWith("\0") ? path.slice(1) : path;
  const abstractOnly = mayBeAbstract ? ", but for the one in front of an abstract name" : "";
  if (name === "" || name.includes("\0"))
    throw rangeError(api, `a path without a NUL${abstractOnly}`, path);
}

/**
 * Prepares `path` for a listener. @throws an error with the code EADDRINUSE if something other than
 * a socket is there.
 */
export function takePath(path: string, cleanup: boolean): UnixPath {
  if (!isFile(path)) {
    const keep = { rename: () => false, explain: (error: Error) => error };
    return { path, bound: path, ...keep, publish() {}, release() {} };
  }
  if (statOf(path)?.isSocket() === false)
    throw hostError("EADDRINUSE", "listen", { host: "", port: 0, path });
  const { resolve } = process.getBuiltinModule("node:path");
  const target = resolve(path); // the program may change its directory while it listens
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const way = lengthOf(folder) + TEMPORARY_NAME > longestPath() ? shorterWay(folder) : undefined;
  const temporaryPath = (): string =>
    `${way?.folder ?? folder}.${Math.random()
      .toString(36)
      .slice(2, 2 + TEMPORARY_NAME - 1)}`;
  let bound = temporaryPath();
  let source = resolve(bound);
  let names = 1;
  let ours: { readonly dev: number; readonly ino: number } | undefined;
  return {
    path,
    get bound() {
      return bound;
    },
    rename() {
      if (names++ >= MOST_NAMES) return false;
      bound = temporaryPath();
      source = resolve(bound);
      return true;
    },
    explain(error) {
      // Of a folder that does not exist the host says that it may not be written to.
      const hasFolder = statOf(resolve(folder)) !== undefined;
      const told = hasFolder ? error : hostError("ENOENT", "listen", { host: "", port: 0, path });
      told.message = told.message.replace(bound, path);
      return Object.assign(told, { address: path });
    },
    publish() {
      fs().renameSync(source, target);
      ours = statOf(target);
      way?.remove();
    },
    release() {
      way?.remove();
      const now = statOf(target);
      const isOurs = ours !== undefined && now?.ino === ours.ino && now.dev === ours.dev;
      if (cleanup && isOurs) fs().rmSync(target, { force: true });
    },
  };
}

/** Another path to `folder`, with room for a temporary name behind it. */
function shorterWay(folder: string): { readonly folder: string; remove(): void } {
  const { join, resolve } = process.getBuiltinModule("node:path");
  const place = fs().mkdtempSync(join(temporaryFolder(), "a-"));
  const link = join(place, "l");
  const remove = (): void => fs().rmSync(place, { recursive: true, force: true });
  try {
    fs().symlinkSync(resolve(folder), link);
    if (lengthOf(link) + 1 + TEMPORARY_NAME > longestPath())
      throw hostError("ENAMETOOLONG", "listen", { host: "", port: 0, path: `${link}/` });
  } catch (error) {
    remove();
    throw error;
  }
  return { folder: `${link}/`, remove };
}

function temporaryFolder(): string {
  try {
    return process.getBuiltinModule("node:os").tmpdir();
  } catch {
    return "/tmp"; // Deno has to be allowed to look into the environment for it
  }
}

/** False for pipes of Windows and for abstract sockets of Linux: they go with their listener. */
function isFile(path: string): boolean {
  return !path.startsWith("\0") && process.platform !== "win32";
}

function lengthOf(path: string): number {
  return encodeText(path).length;
}

function statOf(path: string): import("node:fs").Stats | undefined {
  return fs().statSync(path, { throwIfNoEntry: false });
}
