/// <reference lib="esnext.disposable" preserve="true" />

/**
 * PostgreSQL, on `pg`.
 * @module asyncio-ts-db/postgres
 */

import type { ConnectionOptions } from "node:tls";
import { cleanup } from "asyncio-ts";
import { checkDatabase, DATABASE, Database, type DatabaseOptions } from "./database.ts";
import {
  argumentError,
  checkFlag,
  checkOptions,
  checkSeconds,
  checkTable,
  checkText,
  type Names,
  rangeError,
} from "./options.ts";
import { PgDriver } from "./postgres/driver.ts";
import { parseHost, parseUrl, type Target } from "./postgres/target.ts";
import { type TypeOptions, TypeTable } from "./postgres/values.ts";

export type { Parser, TypeName, TypeOptions } from "./postgres/values.ts";
export { PreciseDate } from "./precise-date.ts";

/** What `connect` takes. */
export interface PostgresOptions extends DatabaseOptions {
  /** Servers that are tried in this order: "db1", "db2:5433". @default those of the URL */
  readonly hosts?: readonly string[] | undefined;
  /** Which of them are good: a primary is "read-write". @default "any" */
  readonly target?: "any" | "read-write" | "read-only" | undefined;
  /** How to encrypt: true, or options of node:tls such as `ca`. @default what sslmode says */
  readonly tls?: boolean | ConnectionOptions | undefined;
  /** The password, where it shall not stand in the URL. */
  readonly password?: string | undefined;
  /** Seconds that an attempt to connect may take. @default 10 */
  readonly connectTimeout?: number | undefined;
  /**
   * Whether a connection is opened before it is needed, so that a cancel reaches the server at once:
   * one for each server, while a statement runs for longer than some 20 ms. Servers do not count it
   * among their clients. Poolers would; there it is left out. @default true
   */
  readonly standby?: boolean | undefined;
  /** How columns of a type are read: `{ int8: "number", timestamptz: "text" }`. */
  readonly types?: TypeOptions | undefined;
}

const KNOWN: Names<PostgresOptions> = {
  ...DATABASE,
  hosts: 1,
  target: 1,
  tls: 1,
  password: 1,
  connectTimeout: 1,
  standby: 1,
  types: 1,
};

/**
 * Connects to PostgreSQL and gives the database, with one connection open. Several hosts are tried
 * in their order, each time a connection is made. Cancelled, it leaves none open.
 *
 * @throws ConnectError, whose code and message say why there is no connection.
 */
export async function connect(
  url: string | undefined,
  options: PostgresOptions = {},
): Promise<Database> {
  const api = "`connect`";
  checkOptions(api, options, KNOWN);
  checkDatabase(api, options);
  checkSeconds(api, "connectTimeout", options.connectTimeout);
  checkTable(api, "types", options.types);
  checkText(api, "password", options.password);
  checkFlag(api, "standby", options.standby);
  if (typeof options.tls !== "boolean") checkTable(api, "tls", options.tls);
  const { target: role = "any" } = options;
  if (!["any", "read-write", "read-only"].includes(role))
    throw argumentError(api, '`target` to be "any", "read-write" or "read-only"', role);
  const { max = 10, min = 0 } = options;
  if (min > max) throw rangeError(api, `\`min\` to be at most \`max\`, ${max}`, min);
  const target = targetOf(api, url, options);
  const driver = new PgDriver({
    target,
    types: new TypeTable(options.types),
    role,
    connectTimeout: options.connectTimeout ?? 10,
    standby: options.standby ?? true,
  });
  const database = new Database(driver, { ...options, name: options.name ?? target.database });
  try {
    await database.open();
  } catch (error) {
    await cleanup(5, () => database.close());
    throw error;
  }
  return database;
}

function targetOf(api: string, url: string | undefined, options: PostgresOptions): Target {
  const target = parseUrl(api, url);
  const { hosts, tls, password } = options;
  if (hosts !== undefined && (!Array.isArray(hosts) || hosts.length === 0))
    throw argumentError(api, "`hosts` to be a list of servers", hosts);
  return {
    ...target,
    hosts: hosts?.map((host) => parseHost(api, host)) ?? target.hosts,
    password: password ?? target.password,
    tls: tls === undefined ? target.tls : tls === true ? {} : tls === false ? undefined : tls,
  };
}
