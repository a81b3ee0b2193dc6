// For the tests: programs that are not ours. Servers run as a user without rights, on a port that
// is free or on a Unix socket, in a temporary folder. Server and folder go when the body has ended,
// and also when the process of the test is killed. A test that needs a program which the machine
// lacks is left out by name; with ASYNCIO_ALL_TOOLS=1, as in CI, it fails.

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import * as asyncio from "asyncio-ts";
import { startPostgres } from "../packages/db/src/testing/postgres-server.ts";

/** Options for `test`: `test("…", needs("curl"), …)`. */
export function needs(...programs: readonly string[]): { readonly skip: string | false } {
  const missing = programs.filter((name) => find(name) === undefined);
  const isLeftOut = missing.length > 0 && process.env.ASYNCIO_ALL_TOOLS !== "1";
  return { skip: isLeftOut ? `not installed: ${missing.join(", ")}` : false };
}

/** Where a program is. Debian keeps those of PostgreSQL's server apart. */
function find(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin"];
  const apart = globSync("/usr/lib/postgresql/*/bin").sort().reverse();
  return [...folders, ...apart]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/** Runs a program that is not ours to its end; what it returns is for the test to look at. */
export function runTool(
  program: string,
  args: readonly string[],
  options: Pick<asyncio.RunProcessOptions, "input" | "cwd" | "uid" | "gid"> = {},
) {
  const path = find(program) ?? program;
  return asyncio.runProcess(path, args, { ...options, seconds: 30, check: false });
}

/** A port that was free just now. */
export async function freePort(): Promise<number> {
  await using server = await asyncio.startServer(async () => {}, "127.0.0.1", 0);
  return server.sockets[0].port;
}

/** Redis on a port and on a Unix socket, without files. */
export function withRedisServer(
  body: (at: { readonly port: number; readonly path: string }) => Promise<void>,
): Promise<void> {
  return inFolder(async (folder, user, guard) => {
    const port = await freePort();
    const path = join(folder, "redis.sock");
    const settings = { port, bind: "127.0.0.1", unixsocket: path, save: "", dir: folder };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const ready = /The server is now ready|connections unix/;
    await serving("redis-server", args, user, guard, ready, () => body({ port, path }));
  });
}

/**
 * PostgreSQL on a Unix socket in `host`, with a user `postgres` and its database; nothing is kept.
 * It is the server with which `asyncio-ts-db` is tested.
 */
export async function withPostgres(
  body: (at: {
    readonly host: string;
    readonly user: string;
    readonly database: string;
  }) => Promise<void>,
): Promise<void> {
  const settings = { listen_addresses: "", port: 5432 };
  await using server = await startPostgres({ settings });
  await body({ host: server.folder, user: "postgres", database: "postgres" });
}

interface User {
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Root is what servers refuse to be, and what they should not be: they run as `nobody`. */
async function inFolder(
  body: (folder: string, user: User, guard: Guard) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-"));
  const isRoot = process.getuid?.() === 0;
  const nobody = 65_534;
  const guard = new Guard(folder);
  try {
    if (isRoot) chownSync(folder, nobody, nobody);
    await body(folder, { cwd: folder, ...(isRoot ? { uid: nobody, gid: nobody } : {}) }, guard);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    guard.dismiss();
  }
}

/**
 * Cleans up after a test whose process was killed, and could not do so itself: it ends the server
 * and removes the folder. It is a process that reads from a pipe, and the system closes that when
 * the one who could write to it is no more. The last line says which server is at work.
 */
class Guard {
  readonly #process: ChildProcess;

  constructor(folder: string) {
    const script = `while read -r line; do server=$line; done
      [ "$server" = none ] && exit
      if [ -n "$server" ]; then
        kill -INT "$server"
        for tenth in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$server" && sleep 0.1; done
        kill -KILL "$server"
      fi 2>/dev/null
      rm -rf "$1"`;
    this.#process = spawn("/bin/sh", ["-c", script, "sh", folder], {
      detached: true, // what kills the test is not for this one
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#process.unref();
  }

  /** Watches over the server with this number, and no other. */
  watch(pid: number): void {
    this.#process.stdin?.write(`${pid}\n`);
  }

  /** Tells it that the server has ended: the number may be another process's soon. */
  rest(): void {
    this.#process.stdin?.write("\n");
  }

  dismiss(): void {
    this.#process.stdin?.end("none\n");
  }
}

/** Runs `body` while a server runs, from the line on in which it says that it is ready. */
async function serving(
  program: string,
  args: readonly string[],
  user: User,
  guard: Guard,
  ready: RegExp,
  body: () => Promise<void>,
): Promise<void> {
  await using server = await asyncio.createSubprocessExec(find(program) ?? program, args, {
    ...user,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "stdout",
  });
  guard.watch(server.pid);
  let log = "";
  const isReady = new asyncio.Event();
  await asyncio.taskGroup(async (group) => {
    group.createTask(async () => {
      for await (const text of server.stdout.chunks({ encoding: "utf-8" })) {
        log = `${log}${text}`.slice(-10_000);
        if (ready.test(log)) isReady.set();
      }
      if (!isReady.isSet()) throw new Error(`${program} does not start: ${log}`);
    });
    await asyncio.timeout(30, () => isReady.wait());
    try {
      await body();
    } finally {
      server.sendSignal("SIGINT");
      await asyncio.cleanup(5, () => server.wait());
    }
  });
  guard.rest();
}
