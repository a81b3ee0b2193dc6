/**
 * The meaning of the errors of a TLS handshake. OpenSSL, BoringSSL and rustls have a code for each
 * check that can fail. Programs decide by the code, so it is kept. People want to know what was
 * expected, what came, and what to do.
 */

import type { PeerCertificate, TLSSocket } from "node:tls";
import { advice } from "../errors/errors.ts";
import type { ClientTlsOptions, ServerTlsOptions } from "../streams/tls-options.ts";

/** Whose handshake it was. */
export interface Side {
  readonly isServer: boolean;
  /** The address of the other side. */
  readonly peer: string;
  /** The name that the certificate of the server has to be for; empty on the server's side. */
  readonly hostname: string;
  readonly options: ClientTlsOptions & ServerTlsOptions;
}

/** What is known of a certificate that was refused. */
export interface Refused {
  readonly subject?: string | undefined;
  readonly issuer?: string | undefined;
  readonly names?: string | undefined;
  readonly validFrom?: string | undefined;
  readonly validTo?: string | undefined;
}

type Words = (side: Side, found: Refused) => string;

const whose = ({ isServer, hostname }: Side): string =>
  isServer ? "the certificate of the client" : `the certificate of ${hostname || "the server"}`;
const named = (name: string | undefined): string => (name === undefined ? "" : ` (${name})`);
/** Two dates to compare; OpenSSL's "Jan  1 00:00:00 2021 GMT" in the words of the host. */
const dated = (what: string, date: string | undefined): string =>
  date === undefined
    ? ""
    : `: ${what} ${new Date(date).toUTCString()}, and here it is ${new Date().toUTCString()}`;

const selfSigned: Words = (side, { subject }) =>
  `${whose(side)} is self-signed${named(subject)}, and not among those that are trusted${advice("If you trust it, pass it in `ca`")}`;
const unknownIssuer: Words = (side, { issuer }) =>
  `${whose(side)} was issued by an unknown issuer${named(issuer)}${advice(`Pass the certificate of the issuer in \`ca\`, or have ${side.isServer ? "the client" : "the server"} send the whole chain`)}`;

/** One for each check that certificates go through. */
const CERTIFICATE_CHECKS: Readonly<Record<string, Words>> = {
  CERT_HAS_EXPIRED: (side, { validTo }) =>
    `${whose(side)} has expired${dated("it was valid until", validTo)}${advice("It has to be renewed, unless this clock is wrong")}`,
  CERT_NOT_YET_VALID: (side, { validFrom }) =>
    `${whose(side)} is not yet valid${dated("it will be from", validFrom)}${advice("Is this clock right?")}`,
  ERR_TLS_CERT_ALTNAME_INVALID: ({ hostname }, { names }) =>
    `the certificate of the server is not for ${hostname}, but for ${names ?? "other names"}${advice("Connect to one of these, or pass it as `serverHostname`")}`,
  DEPTH_ZERO_SELF_SIGNED_CERT: selfSigned,
  SELF_SIGNED_CERT_IN_CHAIN: (side, { issuer }) =>
    `the chain of ${whose(side)} ends in a root that is not trusted${named(issuer)}${advice("If you trust it, pass the root in `ca`")}`,
  UNABLE_TO_GET_ISSUER_CERT: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownIssuer,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownIssuer,
  INVALID_PURPOSE: (side, { subject }) =>
    `${whose(side)} was not issued for this purpose${named(subject)}: its extended key usage has to allow ${side.isServer ? "client" : "server"} authentication`,
  CERT_REVOKED: (side) => `${whose(side)} was revoked by its issuer`,
};

/** What went wrong before certificates were looked at, or at the peer. The first that matches. */
const HANDSHAKE_CHECKS: readonly (readonly [RegExp, Words])[] = [
  [
    /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|UNEXPECTED_MESSAGE|UNKNOWN_PROTOCOL|BAD_RECORD_TYPE/,
    ({ isServer }) =>
      `expected TLS, but the ${isServer ? "client" : "server"} has sent something else${advice("Is it the right port, and is TLS to begin at once? If not, use `writer.startTls`")}`,
  ],
  [
    /NO_APPLICATION_PROTOCOL/,
    ({ options }) =>
      `the sides have no application protocol in common; \`alpnProtocols\` here: ${(options.alpnProtocols ?? []).join(", ") || "none"}`,
  ],
  [
    /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|VERSION_TOO_LOW|NO_PROTOCOLS_AVAILABLE/,
    ({ options }) =>
      `the sides have no version of TLS in common; \`minVersion\` here is ${options.minVersion ?? "that of the host"}, \`maxVersion\` ${options.maxVersion ?? "that of the host"}`,
  ],
  [
    /PEER_DID_NOT_RETURN_A_CERTIFICATE/,
    () => "the client has shown no certificate, and `requestCert` asks for one",
  ],
  [/CERTIFICATE_REQUIRED/, () => "the server asks for a certificate. Pass `cert` and `key`"],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)/,
    ({ isServer }) =>
      isServer
        ? "the client does not accept the certificate of this server"
        : "the server does not accept the certificate of this client",
  ],
  [
    /NO_SHARED_CIPHER|HANDSHAKE_FAILURE|UNRECOGNIZED_NAME|NO_SUITABLE_SIGNATURE/,
    ({ isServer }) =>
      isServer
        ? `the sides have no cipher in common, or there is no certificate for the name that the client asks for${advice("Pass `cert` and `key` beside `certificates`")}`
        : "the server has no certificate for this name, or the sides have no cipher in common",
  ],
  [
    /^(ECONNRESET|EPIPE|ECONNABORTED)$/,
    ({ isServer }) =>
      isServer
        ? "the client has closed the connection in the middle"
        : `the server has closed the connection in the middle${advice("Does it speak TLS on this port?")}`,
  ],
];

/** The error of the host with words that help. Code and fields are its own; it is the `cause`. */
export function explain(error: Error, side: Side, socket?: TLSSocket): Error {
  // A host that finds a certificate of a client wanting hangs up, and leaves the reason here.
  const refusal = (socket as { authorizationError?: unknown } | undefined)?.authorizationError;
  const own = (error as { code?: unknown }).code;
  const isHangUp = own === "ECONNRESET" && typeof refusal === "string" && side.isServer;
  const code = isHangUp ? refusal : own;
  if (typeof code !== "string") return error;
  const words =
    CERTIFICATE_CHECKS[code] ?? HANDSHAKE_CHECKS.find(([pattern]) => pattern.test(code))?.[1];
  if (words === undefined) return error;
  const message = `the TLS handshake with ${side.peer} has failed: ${words(side, certificateOf(socket))} [${code}]`;
  const {
    cert,
    host,
    reason,
    library,
    function: where,
  } = error as unknown as Record<string, unknown>;
  const fields = { ...{ cert, host, reason, library, function: where }, code };
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.assign(new Error(message, { cause: error }), Object.fromEntries(known));
}

/** Of sockets whose handshake is under way: the certificate that the peer has shown. */
const shown: WeakMap<object, Refused> = new WeakMap();

/**
 * Keeps what the peer of `socket` shows: when the host has refused it, it cannot be asked for any
 * more.
 */
export function watchCertificate(socket: TLSSocket): void {
  // "secure" comes before the checks; where a host has no such event, less is said. The newer
  // getPeerX509Certificate would take the certificate out of the chain in Node 24: the checks would
  // find none.
  socket.prependOnceListener("secure", () => {
    const certificate = socket.getPeerCertificate() as PeerCertificate | null; // Bun has none to show
    if (certificate === null) return;
    const { subject, issuer, subjectaltname, valid_from, valid_to } = certificate;
    shown.set(socket, {
      subject: oneLine(subject),
      issuer: oneLine(issuer),
      names: subjectaltname?.replaceAll(/\b(DNS|IP Address):/g, ""),
      validFrom: valid_from,
      validTo: valid_to,
    });
  });
}

function certificateOf(socket: TLSSocket | undefined): Refused {
  return (socket === undefined ? undefined : shown.get(socket)) ?? {};
}

/** The common name, or all there is: "O=Example, C=DE". */
function oneLine(name: object | undefined): string | undefined {
  if (name === undefined) return undefined;
  const parts = Object.entries(name).map(([key, value]) => [key, String(value)] as const);
  const common = parts.find(([key]) => key === "CN")?.[1];
  return common ?? (parts.map((part) => part.join("=")).join(", ") || undefined);
}
