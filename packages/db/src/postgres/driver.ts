/** The driver of PostgreSQL: opens sessions, one host after the other, and says BEGIN. */

import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import * as asyncio from "asyncio-ts";
import pg from "pg";
import type { Answer, Dialect, Driver, DriverConnection, Request } from "../driver.ts";
import { ConnectError } from "../errors.ts";
import { type Address, dialCancel } from "./cancel.ts";
import { CancelLine } from "./cancel-line.ts";
import { PgConnection } from "./connection.ts";
import { dialect } from "./dialect.ts";
import type { PgClient, ServerError } from "./shape.ts";
import type { Host, Target } from "./target.ts";
import type { TypeTable } from "./values.ts";
import { sharingSocket } from "./wire.ts";

/** The oldest server that is tested. */
const OLDEST = 12;
/** Seconds that a connection which was given up has to close. */
const CLOSING = 2;
/** The largest number of a process that Linux gives. */
const MOST_PROCESSES = 2 ** 22;
/** The server looks as often whether the client of a running query is still there, in ms. */
const LOOKOUT_MS = 5000;

export interface PgDriverOptions {
  readonly target: Target;
  readonly types: TypeTable;
  readonly role: "any" | "read-write" | "read-only";
  /** Seconds that an attempt to connect may take. */
  readonly connectTimeout: number;
  /** Whether a connection stands by for the cancel of a statement that runs for long. */
  readonly standby: boolean;
}

export class PgDriver implements Driver {
  readonly engine = "postgres";
  readonly dialect: Dialect = dialect;
  readonly #options: PgDriverOptions;
  /** The cancel requests to each server. */
  readonly #lines: Map<string, CancelLine> = new Map();

  constructor(options: PgDriverOptions) {
    this.#options = options;
  }

  /** Tries the hosts in their order; the first that fits is taken. */
  async connect(): Promise<DriverConnection> {
    let failure: Error | undefined;
    for (const host of this.#options.target.hosts) {
      try {
        return await this.#connectTo(host);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        failure ??= error;
      }
    }
    throw failure as Error; // there is at least one host
  }

  /** One attempt. All that it asks of the server has to be answered within `connectTimeout`. */
  async #connectTo(host: Host): Promise<PgConnection> {
    const { connectTimeout, target } = this.#options;
    const client = this.#clientFor(host);
    try {
      return await asyncio.timeout(connectTimeout, () => this.#open(host, client));
    } catch (error) {
      destroy(client);
      if (error instanceof asyncio.CancelledError || error instanceof ConnectError) throw error;
      throw connectError(host, target, error);
    }
  }

  async #open(host: Host, client: PgClient): Promise<PgConnection> {
    const { types, role, standby } = this.#options;
    const parameters = new Map<string, string>();
    client.connection.on(
      "parameterStatus",
      (message: { parameterName: string; parameterValue: string }) => {
        parameters.set(message.parameterName, message.parameterValue);
      },
    );
    await connected(client);
    const { stream } = client.connection;
    const address = host.host.startsWith("/")
      ? { path: `${host.host}/.s.PGSQL.${host.port}` }
      : addressOf(stream);
    const cancels = this.#lineTo(host, address);
    const version = parameters.get("server_version") ?? "";
    const major = Number.parseInt(version, 10);
    const lookout = major < 14 ? "" : LOOKOUT;
    const asked = new Map([
      ["application_name", `set application_name = ${pg.escapeLiteral(this.#name)}`],
      ["client_encoding", "set client_encoding = 'UTF8'"], // `pg` asks for it
    ]);
    const settings = { types, address, reset: RESET + lookout, asked, parameters, cancels };
    const connection = new PgConnection(client, settings);
    if (standby && connection.lost === undefined && isProcess(client.processID))
      cancels.watch(connection);
    if (major < OLDEST) {
      await connection.close();
      const message = `${nameOf(host)} is PostgreSQL ${version}; ${OLDEST} is the oldest that is supported`;
      throw new ConnectError("ERR_DATABASE_SERVER_TOO_OLD", message);
    }
    // A process that is killed leaves no query behind. Poolers do not have it: that is no failure.
    if (lookout !== "")
      await ask(connection, { kind: "script", text: lookout }).catch(unlessLost(connection));
    connection.markAsOpened();
    if (role === "any" || (await isIn(role, connection))) return connection;
    await connection.close();
    throw new ConnectError("ERR_DATABASE_NO_SUCH_ROLE", `${nameOf(host)} is not ${role}`);
  }

  #lineTo(host: Host, address: Address): CancelLine {
    const { target } = this.#options;
    const name = JSON.stringify([host.host, address]);
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const tls = target.tls === undefined ? undefined : withServerName(target.tls, host.host);
    const line = new CancelLine(() => dialCancel(address, tls));
    this.#lines.set(name, line);
    return line;
  }

  /** What the program is called at the server. */
  get #name(): string {
    return this.#options.target.applicationName ?? "asyncio-ts-db";
  }

  #clientFor({ host, port }: Host): PgClient {
    const { user, password, database, settings, tls } = this.#options.target;
    const client = new pg.Client({
      host,
      port,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(database === undefined ? {} : { database }),
      application_name: this.#name,
      ...(settings === undefined ? {} : { options: settings }),
      keepAlive: true,
      ssl: tls ?? false,
      ...(tls === undefined ? { stream: sharingSocket } : {}),
    }) as unknown as PgClient; // its inside is not in its types: see shape.ts
    client.on("error", () => {}); // told by the callback of `connect`, and by the connection later
    return client;
  }
}

const LOOKOUT = `set client_connection_check_interval = ${LOOKOUT_MS}`;

/** `discard all`, in words that may stand in one message with others. */
export const RESET: string =
  "close all; set session authorization default; reset all; deallocate all; unlisten *; " +
  "select pg_advisory_unlock_all(); discard temp; discard sequences; ";

/** Connects, or leaves nothing behind. */
export function connected(client: PgClient): Promise<void> {
  return asyncio.joined(
    (signal) =>
      new Promise<void>((resolve, reject) => {
        signal.addEventListener("abort", () => destroy(client), { once: true });
        client.connect((error) => (error ? reject(error) : resolve()));
      }),
    { grace: CLOSING },
  );
}

function destroy(client: PgClient): void {
  client.connection.stream.destroy();
}

function addressOf(stream: Socket): Address {
  return { host: stream.remoteAddress ?? "", port: stream.remotePort ?? 0 };
}

/**
 * Whether a session's number is that of a process. A pooler gives any 32 bits: it starts no process
 * for a cancel, and counts a connection that stands by as a client.
 */
function isProcess(id: number | null): boolean {
  return id !== null && id > 0 && id <= MOST_PROCESSES;
}

/** A name is checked against the certificate; the cancel request goes to the address. */
function withServerName(tls: ConnectionOptions, host: string): ConnectionOptions {
  return /^[\d.]+$|:/.test(host) ? { host, ...tls } : { servername: host, ...tls };
}

/** Runs a request of the driver's own. Cancelled, it cuts the connection off. */
function ask(connection: DriverConnection, request: Request): Promise<readonly Answer[]> {
  return asyncio.joined(
    (signal) =>
      new Promise<readonly Answer[]>((resolve, reject) => {
        signal.addEventListener("abort", () => connection.destroy(signal.reason), { once: true });
        connection.run(request, (error, answers) =>
          error === undefined ? resolve(answers) : reject(error),
        );
      }),
    { grace: CLOSING },
  );
}

function unlessLost(connection: DriverConnection): (error: unknown) => void {
  return (error) => {
    if (connection.lost !== undefined) throw error;
  };
}

async function isIn(
  role: "read-write" | "read-only",
  connection: DriverConnection,
): Promise<boolean> {
  const statement = {
    text: "show transaction_read_only",
    values: [],
    prepare: false,
    arrays: true,
  };
  const [answer] = await ask(connection, { kind: "query", statement });
  const isReadOnly = (answer?.rows[0] as string[] | undefined)?.[0] === "on";
  return isReadOnly === (role === "read-only");
}

// --- why there is no connection

function connectError(host: Host, target: Target, error: unknown): Error {
  const { code = "", message } = error as ServerError;
  const where = nameOf(host);
  const options = { cause: error, sqlstate: /^[0-9A-Z]{5}$/.test(code) ? code : undefined };
  const fail = (kind: string, text: string) =>
    new ConnectError(`ERR_DATABASE_${kind}`, text, options);
  if (error instanceof asyncio.TimeoutError)
    return fail("UNREACHABLE", `${where} has not answered in time`);
  switch (code) {
    case "28P01":
    case "28000":
      return fail(
        "PASSWORD",
        `${where} does not let user ${JSON.stringify(target.user)} in: ${message}. Look at the user and the password of the URL, and at pg_hba.conf`,
      );
    case "3D000":
      return fail(
        "UNKNOWN",
        `${where} has no such database: ${message}. Create it, or correct the end of the URL`,
      );
    case "53300":
      return fail(
        "TOO_MANY_CONNECTIONS",
        `${where} has no connection left: ${message}. Lower \`max\`, times all processes, below its max_connections`,
      );
  }
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code))
    return fail(
      "CERTIFICATE",
      `the certificate of ${where} is not trusted: ${message}. Pass its authority: \`tls: { ca }\``,
    );
  if (/SASL|password must be a string/i.test(message ?? ""))
    return fail("PASSWORD", `${where} wants a password: ${message}. Write one into the URL`);
  if (/does not support SSL/.test(message ?? ""))
    return fail("TLS", `${where} has no TLS, and sslmode asks for it`);
  if (/unsupported startup parameter/.test(message ?? ""))
    return fail(
      "UNREACHABLE",
      `${where} takes no settings at the start of a session: ${message}. Poolers are so. Leave \`options\` out of the URL, and say \`alter role ... set\``,
    );
  if (/Connection terminated/.test(message ?? ""))
    return fail(
      "UNREACHABLE",
      `${where} has closed the connection before it has let us in, and has not said why. Look into its log, and into that of a pooler or balancer in between`,
    );
  return fail("UNREACHABLE", `${where} cannot be reached: ${message || code}`);
}

function nameOf({ host, port }: Host): string {
  return host.startsWith("/") ? `the server at ${host}` : `the server at ${host}:${port}`;
}
