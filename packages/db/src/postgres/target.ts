/** Where a database is: the URL, and what the options add to it. */

import type { ConnectionOptions } from "node:tls";
import { argumentError } from "../options.ts";

/** One server of a URL. */
export interface Host {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** What a URL says. */
export interface Target {
  readonly hosts: readonly Host[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly applicationName: string | undefined;
  /** Settings that a session begins with: "-c search_path=app". */
  readonly settings: string | undefined;
  readonly tls: ConnectionOptions | undefined;
}

const URL_SHAPE =
  /^postgres(?:ql)?:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/;
const HOST_SHAPE = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/;
const ENCODED = "In a user or a password @ is %40 and / is %2F";
const EXAMPLE = 'An example: "postgres://user:password@host:5432/database"';

/** Reads a URL, several hosts and Unix sockets included. Passwords never get into messages. */
export function parseUrl(api: string, url: unknown): Target {
  if (typeof url !== "string")
    throw argumentError(api, "a URL", url, "Is the environment variable set that it comes from?");
  const match = URL_SHAPE.exec(url);
  if (match === null)
    throw argumentError(api, "a URL of PostgreSQL", withoutPassword(url), EXAMPLE);
  const [, user, password, hosts = "", database, query] = match;
  // A password with one of these ends too early, and what is left of it would be told as a host.
  const behind = `${hosts}${database ?? ""}${user === undefined ? (query ?? "") : ""}`;
  if (behind.includes("@"))
    throw argumentError(api, "a URL with one @", "another one", `${ENCODED}. ${EXAMPLE}`);
  const settings = new URLSearchParams(query);
  const target = {
    user: decode(api, user),
    password: decode(api, password),
    database: decode(api, database),
    hosts: (settings.get("host") ?? hosts)
      .split(",")
      .map((host) => parseHost(api, host, settings.get("port") ?? "")),
    applicationName: settings.get("application_name") ?? undefined,
    settings: settings.get("options") ?? undefined,
    tls: tlsOf(api, settings.get("sslmode")),
  };
  for (const name of settings.keys()) {
    if (["host", "port", "application_name", "options", "sslmode"].includes(name)) continue;
    throw argumentError(api, "a URL with parameters it knows", name, KNOWN_PARAMETERS);
  }
  return target;
}

const KNOWN_PARAMETERS = "These are host, port, application_name, options, and sslmode";

/** Reads `host`, `host:port`, `[::1]:port`, or a path with `%2F`. */
export function parseHost(api: string, text: string, port = ""): Host {
  const match = typeof text === "string" ? HOST_SHAPE.exec(text) : null;
  const found = Number(match?.[2] ?? (port === "" ? 5432 : port));
  if (match === null || !Number.isInteger(found) || found < 1 || found > 65_535)
    throw argumentError(api, "hosts such as `db1` or `db1:5432`", text);
  const host = decode(api, match[1]) ?? "";
  return { host: host === "" ? "localhost" : host.replaceAll(/^\[|\]$/g, ""), port: found };
}

function tlsOf(api: string, mode: string | null): ConnectionOptions | undefined {
  switch (mode) {
    case null:
    case "disable":
      return undefined;
    case "require":
    case "verify-ca":
    case "verify-full":
      return {};
    case "no-verify":
      return { rejectUnauthorized: false };
    default:
      throw argumentError(
        api,
        "an sslmode of disable, require, verify-full or no-verify",
        mode,
        "A mode that falls back to plain text is not supported: whoever is between would choose it",
      );
  }
}

function decode(api: string, text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw argumentError(api, "a URL whose parts are encoded", "a part with a lone %", EXAMPLE);
  }
}

function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:@/]*:).*@/s, "$1***@");
}
