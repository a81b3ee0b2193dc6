/**
 * A PostgreSQL server for tests: a cluster of its own in a temporary folder, without fsync, on a
 * Unix socket there and on a free port of 127.0.0.1. PostgreSQL refuses to run as root; there it
 * runs as `nobody`. Server and folder go with `stop`, and also when the process of the tests is
 * killed: a guard reads from a pipe, which the system closes then.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { argumentError, checkOptions, checkSeconds, checkTable, type Names } from "../options.ts";

/** What `startPostgres` takes. */
export interface PostgresServerOptions {
  /** Settings of the server, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** How clients prove who they are: a method of pg_hba.conf. @default "trust" */
  readonly auth?: "trust" | "scram-sha-256" | undefined;
  /** Seconds for each of: making a cluster or a database, starting, ending. @default 60 */
  readonly patience?: number | undefined;
}

const KNOWN: Names<PostgresServerOptions> = { settings: 1, auth: 1, patience: 1 };

const NOBODY = 65_534;

/**
 * Whether PostgreSQL's server is on this machine; the reason why a test is left out, or false:
 * `test("...", { skip: lacksPostgres() }, ...)`. With ASYNCIO_ALL_TOOLS=1 always false.
 */
export function lacksPostgres(): string | false {
  if (findProgram("initdb") !== undefined && findProgram("postgres") !== undefined) return false;
  return process.env.ASYNCIO_ALL_TOOLS === "1" ? false : "PostgreSQL's server is not installed";
}

/** Where a program of PostgreSQL's server is: Debian keeps them out of PATH. */
function findProgram(name: string): string | undefined {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort().reverse() : [];
  const apart = versions.map((version) => join(debian, version, "bin"));
  return [...apart, ...(process.env.PATH ?? "").split(delimiter), "/usr/local/bin"]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/**
 * Starts a server with a superuser `postgres`, whose password is "secret", and a database of that
 * name. Rejects with what the server wrote if it does not start.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  checkOptions("`startPostgres`", options, KNOWN);
  checkSeconds("`startPostgres`", "patience", options.patience);
  checkTable("`startPostgres`", "settings", options.settings);
  const { auth = "trust" } = options;
  if (!["trust", "scram-sha-256"].includes(auth))
    throw argumentError("`startPostgres`", '`auth` to be "trust" or "scram-sha-256"', auth);
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-"));
  const guard = new Guard(folder);
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (user.uid !== undefined) chownSync(folder, NOBODY, NOBODY);
  const server = new PostgresServer(folder, user, guard, await freePort(), options);
  try {
    await server.initialize();
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/** A running server. `stop` ends it and removes what it stored. */
export class PostgresServer implements AsyncDisposable {
  /** The folder of its Unix socket. */
  readonly folder: string;
  /** Its port on 127.0.0.1; it also names the socket. */
  readonly port: number;
  readonly #user: { readonly uid?: number; readonly gid?: number };
  readonly #guard: Guard;
  readonly #options: PostgresServerOptions;
  readonly #patience: number;
  #process: ChildProcess | undefined = undefined;
  #ended: Promise<void> = Promise.resolve();
  #log = "";

  /** @internal */
  constructor(
    folder: string,
    user: { readonly uid?: number; readonly gid?: number },
    guard: Guard,
    port: number,
    options: PostgresServerOptions,
  ) {
    this.folder = folder;
    this.port = port;
    this.#user = user;
    this.#guard = guard;
    this.#options = options;
    this.#patience = options.patience ?? 60;
  }

  /** The URL of a database over TCP. @param database - @default "postgres" */
  url(database = "postgres"): string {
    return `postgres://postgres:secret@127.0.0.1:${this.port}/${database}`;
  }

  /** The URL of a database over the Unix socket. @param database - @default "postgres" */
  socketUrl(database = "postgres"): string {
    const host = encodeURIComponent(this.folder);
    return `postgres://postgres:secret@${host}:${this.port}/${database}`;
  }

  /**
   * Makes a database, and gives its URL. `template` is one to copy, tables and rows, which takes a
   * tenth of a second: migrate one, and give each file of tests a copy. Nobody may be connected to a
   * template meanwhile.
   */
  async createDatabase(
    name: string,
    options: { readonly template?: string | undefined } = {},
  ): Promise<string> {
    checkOptions("`createDatabase`", options, { template: 1 });
    const args = ["-h", this.folder, "-p", String(this.port), "-U", "postgres", "-w"];
    if (options.template !== undefined) args.push(`--template=${options.template}`);
    const env = { ...process.env, PGPASSWORD: "secret" };
    const stdio = ["ignore", "pipe", "pipe"] as const;
    const path = findProgram("createdb") ?? "createdb";
    const child = spawn(path, [...args, "--", name], { env, stdio: [...stdio] });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    const code = await exitCode(child, `createdb ${name}`, this.#patience);
    if (code === 0) return this.url(name);
    throw new Error(`database ${JSON.stringify(name)} cannot be created: ${said.trim()}`);
  }

  /** What the server has written, the last part. */
  get log(): string {
    return this.#log;
  }

  /** @internal */
  async initialize(): Promise<void> {
    const password = join(this.folder, "password");
    writeFileSync(password, "secret\n", { mode: 0o644 });
    const { auth = "trust" } = this.#options;
    const args = ["-D", join(this.folder, "data"), "-U", "postgres", `--auth=${auth}`];
    args.push("--no-sync", "--encoding=UTF8", "--locale=C", `--pwfile=${password}`);
    const child = spawn(findProgram("initdb") ?? "initdb", args, {
      ...this.#user,
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#collect(child);
    const code = await exitCode(child, "initdb", this.#patience);
    if (code !== 0) throw new Error(`initdb has failed: ${this.#log}`);
  }

  /** Starts the server again after `crash` or `shutDown`. */
  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: this.port,
      unix_socket_directories: this.folder,
      fsync: "off",
      max_connections: 60,
      log_destination: "stderr",
      ...this.#options.settings,
    };
    const args = ["-D", join(this.folder, "data")];
    for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
    const child = spawn(findProgram("postgres") ?? "postgres", args, {
      ...this.#user,
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once("close", () => resolve()));
    if (child.pid !== undefined) this.#guard.watch(child.pid);
    this.#log = "";
    const ready = new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => reject(this.#doesNotStart()));
      this.#collect(child, () => {
        if (this.#log.includes("ready to accept connections")) resolve();
      });
    });
    await within(this.#patience, ready, () => this.#doesNotStart());
  }

  /** Ends it as a crash would: every backend is killed. */
  async crash(): Promise<void> {
    await this.#end("SIGQUIT");
  }

  /** Ends it as an operator would: sessions are terminated, what is committed stays. */
  async shutDown(): Promise<void> {
    await this.#end("SIGINT");
  }

  async #end(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
    const server = this.#process;
    server?.kill(signal);
    await within(this.#patience, this.#ended, () => {
      server?.kill("SIGKILL");
      return new Error(
        `PostgreSQL has not ended within ${this.#patience} s after ${signal}, and was killed: ${this.#log}`,
      );
    });
    this.#guard.rest();
  }

  /** Ends it, and removes its folder. */
  async stop(): Promise<void> {
    try {
      if (this.#process?.exitCode === null && this.#process.signalCode === null)
        await this.shutDown();
    } finally {
      // A program that was killed has children, which may still write.
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
      this.#guard.dismiss();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #collect(child: ChildProcess, heard?: () => void): void {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#log = (this.#log + text).slice(-20_000);
        heard?.();
      });
    }
  }

  #doesNotStart(): Error {
    return new Error(`PostgreSQL does not start: ${this.#log}`);
  }
}

/** How a program has ended. One that hangs is killed. */
function exitCode(child: ChildProcess, name: string, seconds: number): Promise<unknown> {
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return within(seconds, ended, () => {
    child.kill("SIGKILL");
    return new Error(`${name} has not ended within ${seconds} s, and was killed`);
  });
}

/** What `work` gives; after so many seconds rejects with what `giveUp` returns. */
async function within<T>(seconds: number, work: Promise<T>, giveUp: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(giveUp()), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the server and removes the folder when the process of the tests is no more. */
class Guard {
  readonly #process: ChildProcess;

  constructor(folder: string) {
    // The last line says which server is at work.
    const script = `while read -r line; do server=$line; done
      [ "$server" = none ] && exit
      if [ -n "$server" ]; then
        kill -INT "$server"
        for tenth in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$server" && sleep 0.1; done
        kill -KILL "$server"
      fi 2>/dev/null
      rm -rf "$1"`;
    this.#process = spawn("/bin/sh", ["-c", script, "sh", folder], {
      detached: true, // what kills the tests is not for this one
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#process.stdin?.on("error", () => {}); // it was killed, too
    this.#process.unref();
  }

  watch(pid: number): void {
    this.#process.stdin?.write(`${pid}\n`);
  }

  rest(): void {
    this.#process.stdin?.write("\n");
  }

  dismiss(): void {
    this.#process.stdin?.end("none\n");
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
