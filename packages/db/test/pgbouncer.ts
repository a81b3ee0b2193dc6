// For the tests: PgBouncer in transaction mode, in front of a server of the tests.

import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startProxy } from "../src/testing.ts";

const program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].find((path) => existsSync(path));
const isNeeded = process.env.ASYNCIO_ALL_TOOLS === "1";

/** Why tests with it are left out, or false. */
export const lacksPgBouncer: string | false =
  program === undefined && !isNeeded ? "PgBouncer is not installed" : false;

export interface PgBouncer {
  readonly url: string;
  readonly port: number;
  /** What it says of each of its clients; by default the port from which it has connected. */
  clients(column?: string): Promise<string[]>;
  /** Ends it. Rejects with what it has written, if it has ended by itself. */
  stop(): Promise<void>;
}

/**
 * Starts one, which comes back to a server that was down after a second, and not after fifteen.
 * @param servers - how many connections to the server it has at most
 */
export async function startPgBouncer(serverPort: number, servers: number): Promise<PgBouncer> {
  const proxy = await startProxy(1); // for a port that is free
  const { port } = proxy;
  await proxy.stop();
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-bouncer-"));
  const settings = `[databases]
* = host=127.0.0.1 port=${serverPort} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
unix_socket_dir =
pool_mode = transaction
default_pool_size = ${servers}
server_login_retry = 1
`;
  writeFileSync(join(folder, "pgbouncer.ini"), settings);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, 65_534, 65_534);
  const child = spawn(program ?? "pgbouncer", [join(folder, "pgbouncer.ini")], {
    stdio: ["ignore", "ignore", "pipe"],
    ...(isRoot ? { uid: 65_534, gid: 65_534 } : {}),
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let log = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`pgbouncer has ended: ${log}`)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-2000);
      if (text.includes("process up")) resolve();
    });
  });
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    async clients(column = "port") {
      const url = `postgres://postgres@127.0.0.1:${port}/pgbouncer`;
      const console = new pg.Client(url);
      await console.connect();
      try {
        const { rows } = await console.query<Record<string, string>>("show clients");
        const isClient = ({ database, state }: Record<string, string>): boolean =>
          database === "postgres" && !/cancel/.test(state ?? ""); // a cancel request counts as one
        return rows.filter(isClient).map((row) => String(row[column]));
      } finally {
        await console.end();
      }
    },
    async stop() {
      const isAlive = child.exitCode === null && child.signalCode === null;
      if (isAlive) child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
      if (!isAlive) throw new Error(`pgbouncer has ended by itself: ${log}`);
    },
  };
}
