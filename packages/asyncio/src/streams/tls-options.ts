/**
 * Options of TLS, and what can be asked about a connection under TLS. The code of TLS is in net/.
 * The types are here because a writer uses them.
 */

import type { Names } from "../errors/options.ts";

/** A certificate or key as PEM text, or as bytes. */
export type Pem = string | Uint8Array;

/** A certificate with its key. */
export interface Certificate {
  /** In PEM; the certificates of its issuers may follow it. */
  readonly cert: Pem;
  /** The private key, in PEM. */
  readonly key: Pem;
  /** Opens an encrypted key. */
  readonly passphrase?: string | undefined;
}

interface TlsOptions extends Partial<Certificate> {
  /** Whom to trust, as PEM. @default the roots that come with the host */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** Protocols that may be spoken under TLS, the preferred first: `["h2", "http/1.1"]` (ALPN). */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** "TLSv1.2" or "TLSv1.3", as in Node. @default that of the host */
  readonly minVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3" | undefined;
  /** The newest version of TLS to speak. @default that of the host */
  readonly maxVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3" | undefined;
  /** In OpenSSL's words. @default those of the host */
  readonly ciphers?: string | undefined;
  /** False takes certificates as they come: then the peer may be anyone. @default true */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Seconds that the handshake may take. @default 60, as in asyncio */
  readonly handshakeDelay?: number | undefined;
}

/** How a client begins TLS. An object is read once: make another to change something. */
export interface ClientTlsOptions extends TlsOptions {
  /**
   * The name for which the certificate of the server has to be valid. The server is told the name,
   * too (SNI). @default the host connected to
   */
  readonly serverHostname?: string | undefined;
  /**
   * Seconds that the server has to end its side, after `close` and after all bytes have left. If we
   * closed earlier, bytes that the server sends last could reset the connection, and what we have
   * sent could be lost. @default 30, as in asyncio; 1 on Deno
   */
  readonly shutdownDelay?: number | undefined;
}

/**
 * How a server begins TLS. It needs `cert` and `key`, or `certificates`. An object is read once.
 */
export interface ServerTlsOptions extends TlsOptions {
  /**
   * Certificates by the name that a client asks for (SNI): `{ "example.org": {...},
   * "*.example.org": {...} }`.
   */
  readonly certificates?: Readonly<Record<string, Certificate>> | undefined;
  /**
   * Asks clients for a certificate. A client without a certificate that `ca` vouches for is
   * refused. @default false
   */
  readonly requestCert?: boolean | undefined;
}

export const CERTIFICATE: Names<Certificate> = { cert: 1, key: 1, passphrase: "string" };
const EITHER: Names<TlsOptions> = {
  ...CERTIFICATE,
  ca: 1,
  alpnProtocols: 1,
  minVersion: 1,
  maxVersion: 1,
  ciphers: "string",
  rejectUnauthorized: "boolean",
  handshakeDelay: 1,
};
export const CLIENT_TLS: Names<ClientTlsOptions> = {
  ...EITHER,
  serverHostname: "string",
  shutdownDelay: 1,
};
export const SERVER_TLS: Names<ServerTlsOptions> = {
  ...EITHER,
  certificates: 1,
  requestCert: "boolean",
};

/** The cipher of a TLS connection. */
export interface CipherInfo {
  /** As OpenSSL calls it. */
  readonly name: string;
  /** As the RFCs call it. */
  readonly standardName?: string | undefined;
  /** The oldest version of TLS that has it. */
  readonly version: string;
}

/** A certificate as the host shows it. */
export interface PeerCertificate {
  /** Whose certificate it is, by the parts of the name: `CN`, `O`, ... */
  readonly subject: Readonly<Record<string, string | string[] | undefined>>;
  /** Who has signed it, by the parts of the name. */
  readonly issuer: Readonly<Record<string, string | string[] | undefined>>;
  /** The names and addresses that it is for: "DNS:example.org, ...". */
  readonly subjectaltname?: string | undefined;
  /** Since when it is valid, as text. */
  readonly valid_from: string;
  /** Until when it is valid, as text. */
  readonly valid_to: string;
  /** Its SHA-256 fingerprint, in hexadecimal. */
  readonly fingerprint256: string;
  /** Its number at the issuer, in hexadecimal. */
  readonly serialNumber: string;
  /** In DER. */
  readonly raw: Uint8Array;
}
