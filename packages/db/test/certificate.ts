// For the tests: a certificate of its own authority.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** What a server and its clients need for TLS. */
export interface Certificate {
  /** Why there is none, or false. */
  readonly lacks: string | false;
  /** Settings of PostgreSQL. */
  readonly settings: Readonly<Record<string, string>>;
  /** Options of a client. */
  readonly tls: () => { readonly ca: string; readonly servername: string };
  /** Removes the files. */
  remove(): void;
}

/** A certificate for "localhost", with a key that is the server's alone; gone with the tests. */
export function makeCertificate(): Certificate {
  const certificate = writeCertificate();
  after(() => certificate.remove());
  return certificate;
}

/** The same, for a program without tests. */
export function writeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-db-tls-"));
  const [key, crt] = [join(folder, "server.key"), join(folder, "server.crt")];
  return {
    lacks: write(folder, key, crt),
    settings: { ssl: "on", ssl_cert_file: crt, ssl_key_file: key },
    tls: () => ({ ca: readFileSync(crt, "utf8"), servername: "localhost" }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function write(folder: string, key: string, crt: string): string | false {
  const subject = [
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
  ];
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject];
  const made = spawnSync("openssl", [...args, "-keyout", key, "-out", crt]);
  if (made.error !== undefined && process.env.ASYNCIO_ALL_TOOLS !== "1")
    return "openssl is not installed";
  assert.equal(made.status, 0, String(made.error ?? made.stderr));
  if (process.getuid?.() === 0)
    for (const file of [folder, key, crt]) chownSync(file, 65_534, 65_534);
  return false;
}
