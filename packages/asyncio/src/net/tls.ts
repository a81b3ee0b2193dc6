/**
 * TLS on a socket that is connected already. Connecting, accepting and `startTls` all come here, so
 * there is one handshake: it has a deadline, is cancelled like any other wait, and says what was
 * wrong. The host does the cryptography and all checks, by `node:tls`; what its errors mean is in
 * tls-errors.ts.
 */

import type { Socket } from "node:net";
import type {
  SecureContext,
  SecureContextOptions,
  TLSSocket,
  Server as TlsServer,
  TlsOptions as TlsServerOptions,
} from "node:tls";
import {
  advice,
  argumentError,
  checkOptions,
  checkSeconds,
  TimeoutError,
} from "../errors/errors.ts";
import { isA } from "../errors/render.ts";
import { realHost } from "../kernel/host.ts";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { ignore } from "../kernel/settlers.ts";
import { runInRoot } from "../ports/context-storage.ts";
import { makeDecoder } from "../streams/encode.ts";
import {
  type Address,
  comparableHost,
  type Destination,
  describeAddress,
  hostError,
  withoutDot,
} from "../streams/network.ts";
import { isShuttingDown } from "../streams/node-quirks.ts";
import type { NodeStreamSource } from "../streams/node-source.ts";
import {
  CERTIFICATE,
  type Certificate,
  CLIENT_TLS,
  type ClientTlsOptions,
  type Pem,
  SERVER_TLS,
  type ServerTlsOptions,
} from "../streams/tls-options.ts";
import { formatSeconds } from "../structures/timers.ts";
import { timeout } from "../tasks/timeouts.ts";
import { checkHost } from "./host-name.ts";
import { explain, type Side, watchCertificate } from "./tls-errors.ts";

/** A socket that TLS can be put on. */
export interface Securable {
  readonly readable: Socket;
  readonly remoteAddress: Address;
  /** Undefined if this is the server's end. */
  readonly to: Destination | undefined;
  describe(): string;
}

/** asyncio's ssl_handshake_timeout. */
const HANDSHAKE_DELAY = 60;
/**
 * asyncio's ssl_shutdown_timeout. Deno may never tell of the end of a server that has sent much
 * (2.9).
 */
const SHUTDOWN_DELAY = "Deno" in globalThis ? 1 : 30;
/** The deadline of the host, which cannot be turned off. It is longer than ours, which counts. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;
const tls = (): typeof import("node:tls") => process.getBuiltinModule("node:tls");
const isIP = (text: string): boolean => process.getBuiltinModule("node:net").isIP(text) !== 0;

/** Of options that were used before: reading certificates costs about a millisecond. */
const contexts: WeakMap<object, SecureContext> = new WeakMap();
const acceptors: WeakMap<object, TlsAcceptor> = new WeakMap();

const API = "`writer.startTls`";

/** @throws TypeError, RangeError for options that make no sense. */
export function checkTlsOptions(api: string, options: object, isServer: boolean): void {
  if (typeof options !== "object" || options === null)
    throw argumentError(api, "`tls` to be an object of options", options);
  const whose = api === API ? api : `\`tls\` of ${api}`;
  checkOptions(whose, options, isServer ? SERVER_TLS : CLIENT_TLS);
  const { handshakeDelay = 0, shutdownDelay = 0, alpnProtocols = [] } = options as ClientTlsOptions;
  checkSeconds(api, "`handshakeDelay` in seconds", handshakeDelay);
  checkSeconds(api, "`shutdownDelay` in seconds", shutdownDelay);
  if (!Array.isArray(alpnProtocols) || alpnProtocols.some((name) => typeof name !== "string"))
    throw argumentError(api, "`alpnProtocols` to be an array of names", alpnProtocols);
  const { cert, key, certificates, serverHostname } = options as ServerTlsOptions &
    ClientTlsOptions;
  if (serverHostname !== undefined) checkHost(api, "`serverHostname` to be a name", serverHostname);
  for (const [name, certificate] of Object.entries(isServer ? (certificates ?? {}) : {}))
    checkOptions(`\`certificates[${JSON.stringify(name)}]\` of ${api}`, certificate, CERTIFICATE);
  const hasCertificate = cert !== undefined && key !== undefined;
  if (isServer && !hasCertificate && certificates === undefined)
    throw argumentError(
      api,
      "a server's TLS options to have `cert` and `key`, or `certificates`",
      options,
    );
}

/**
 * Reads the certificates of a server: else it would start, and fail with each connection.
 * @throws the error of the host, with its code, if it cannot use them.
 */
export function readCertificates(api: string, options: ServerTlsOptions): void {
  try {
    runInRoot(() => acceptorFor(options));
  } catch (cause) {
    if (!isA(cause, Error) || isA(cause, TypeError)) throw cause;
    const { message, code } = cause as Error & { readonly code?: unknown };
    const error = new Error(
      `${api} cannot use the certificate and the key in \`tls\`: ${message}${advice("Pass the text of PEM files that belong together")}`,
      { cause },
    );
    throw Object.assign(error, { code });
  }
}

/**
 * Waits for the handshake, and calls `attach` in the moment in which it is done. Otherwise the
 * socket is destroyed.
 */
export async function secure(
  below: Securable,
  options: ClientTlsOptions & ServerTlsOptions,
  attach: (source: NodeStreamSource) => void,
): Promise<void> {
  const { handshakeDelay = HANDSHAKE_DELAY } = options;
  const seconds = handshakeDelay === Number.POSITIVE_INFINITY ? null : handshakeDelay;
  const raw = below.readable;
  try {
    checkTlsOptions(API, options, below.to === undefined);
    await timeout(seconds, () => shakeHands(below, options, attach));
  } catch (error) {
    raw.destroy();
    if (!(error instanceof TimeoutError)) throw error;
    throw new TimeoutError(
      `the TLS handshake with ${describeAddress(below.remoteAddress)} has not ended within ${formatSeconds(handshakeDelay)}${advice("Does the peer speak TLS there? `handshakeDelay` is the time it gets")}`,
      { cause: error.cause },
    );
  }
}

/** What became of a handshake. `socket` is that of TLS, where there is one. */
interface Outcome {
  done(socket: TLSSocket): void;
  failed(error: Error, socket?: TLSSocket): void;
}

async function shakeHands(
  below: Securable,
  options: ClientTlsOptions & ServerTlsOptions,
  attach: (source: NodeStreamSource) => void,
): Promise<void> {
  const raw = below.readable;
  const isServer = below.to === undefined;
  const hostname = isServer ? "" : hostnameOf(below, options);
  const scope = here();
  const subject = { describeWait: () => `the TLS handshake on ${below.describe()}` };
  const stop = scope.interruption(subject);
  if (stop !== undefined) await stop;
  const peer = describeAddress(below.remoteAddress) || "the client of a Unix socket";
  const side: Side = { isServer, peer, hostname, options };
  const wait = park<void>(scope, subject, () => {
    raw.destroy();
    return true;
  });
  wait.waitsOutside();
  const failed = (error: Error, socket?: TLSSocket): void => {
    raw.off("close", closed);
    wait.fail(explain(error, side, socket));
  };
  // The host may be about to say why.
  const closed = (): void =>
    realHost.macrotask(() => failed(hostError("ECONNRESET", "read", below.remoteAddress)));
  const done = (socket: TLSSocket): void => {
    raw.off("close", closed);
    if (wait.state !== "parked") {
      socket.destroy();
      return;
    }
    socket.allowHalfOpen = true;
    attach(new TlsSource(socket, below, side));
    wait.resume();
  };
  raw.on("close", closed);
  // For TLS takes it over from the socket: a peer that ends its side in the middle of a handshake
  // will not come back.
  raw.allowHalfOpen = false;
  try {
    runInRoot(() => {
      if (isServer) acceptorFor(options).accept(raw, { done, failed });
      else connect(raw, hostname, options, { done, failed });
    });
  } catch (error) {
    failed(error as Error); // a certificate or a key that cannot be read
  }
  await wait.promise;
}

function hostnameOf(below: Securable, options: ClientTlsOptions): string {
  const found = withoutDot(options.serverHostname ?? below.to?.hostname ?? below.to?.host ?? "");
  if (found !== "" || options.rejectUnauthorized === false) return found;
  throw argumentError(
    API,
    "`serverHostname`, the name that the certificate of the server is for",
    found,
  );
}

/** Begins a handshake as client. */
function connect(raw: Socket, hostname: string, options: ClientTlsOptions, outcome: Outcome): void {
  const { alpnProtocols, rejectUnauthorized = true } = options;
  let secureContext = contexts.get(options);
  if (secureContext === undefined) {
    secureContext = tls().createSecureContext(contextOptions(options));
    contexts.set(options, secureContext);
  }
  const name = comparableHost(hostname); // servers may compare what they are told as it is
  const socket = tls().connect({
    socket: raw,
    host: name, // what the certificate is compared with
    ...(name === "" || isIP(name) ? {} : { servername: name }), // an address is no name (RFC 6066)
    ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
    rejectUnauthorized,
    secureContext,
  });
  socket.pause();
  watchCertificate(socket);
  const failed = (error: Error): void => outcome.failed(error, socket);
  socket.on("error", failed);
  socket.once("secureConnect", () => {
    socket.off("error", failed);
    socket.on("error", ignore);
    outcome.done(socket);
  });
}

/** TLSSocket keeps what it was put on under this name, in Node, Bun and Deno alike. */
interface Layered {
  readonly _parent?: object | null;
}

/**
 * The server's side of handshakes: a server of the host that never listens. Connections are handed
 * to it, as its documentation of "connection" allows; it chooses certificates and checks those of
 * clients.
 */
class TlsAcceptor {
  readonly #server: TlsServer;
  readonly #pending: WeakMap<object, Outcome> = new WeakMap();

  constructor(options: ServerTlsOptions) {
    const { alpnProtocols, certificates = {}, requestCert = false } = options;
    const { rejectUnauthorized = true } = options;
    this.#server = tls().createServer({
      ...contextOptions(options),
      ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
      ...(comparesItself ? {} : { SNICallback: chooserOf(certificates, options) }),
      requestCert,
      rejectUnauthorized,
      handshakeTimeout: LONGEST_DELAY_MS,
      pauseOnConnect: true,
      allowHalfOpen: true,
    });
    for (const [name, certificate] of comparesItself ? Object.entries(certificates) : [])
      this.#server.addContext(comparableHost(name), contextOptions({ ...options, ...certificate }));
    this.#server.on("secureConnection", (socket) => {
      socket.pause();
      this.#take(socket)?.done(socket);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      this.#take(socket)?.failed(error, socket);
    });
  }

  accept(raw: Socket, outcome: Outcome): void {
    this.#pending.set(raw, outcome);
    this.#server.emit("connection", raw);
  }

  #take(socket: TLSSocket & Layered): Outcome | undefined {
    const raw = socket._parent ?? {};
    const outcome = this.#pending.get(raw);
    this.#pending.delete(raw);
    socket.on("error", ignore); // it may still fail, after what became of it is known
    if (outcome === undefined) socket.destroy();
    return outcome;
  }
}

function acceptorFor(options: ServerTlsOptions): TlsAcceptor {
  let acceptor = acceptors.get(options);
  if (acceptor === undefined) {
    acceptor = new TlsAcceptor(options);
    acceptors.set(options, acceptor);
  }
  return acceptor;
}

/**
 * Node compares the names of certificates with case, in some versions, and has a callback; Bun and
 * Deno compare without it.
 */
const comparesItself = "Bun" in globalThis || "Deno" in globalThis;

type Choose = NonNullable<TlsServerOptions["SNICallback"]>;

/**
 * Chooses the certificate for the name that a client asks for; undefined is the one without a name.
 */
function chooserOf(
  certificates: Readonly<Record<string, Certificate>>,
  options: ServerTlsOptions,
): Choose {
  const contexts = Object.entries(certificates).map(([name, certificate]) => {
    const words = comparableHost(name)
      .split("*")
      .map((word) => word.replaceAll(/[^\w-]/g, "\\$&"));
    const context = tls().createSecureContext(contextOptions({ ...options, ...certificate }));
    return [new RegExp(`^${words.join("[^.]*")}$`), context] as const;
  });
  return (asked, choose) => {
    const name = comparableHost(asked);
    choose(null, contexts.findLast(([pattern]) => pattern.test(name))?.[1]);
  };
}

/** What makes a SecureContext, in the words of the host. */
function contextOptions(options: ClientTlsOptions | ServerTlsOptions): SecureContextOptions {
  const { cert, key, passphrase, ca, minVersion, maxVersion, ciphers } = options;
  const all = {
    cert: cert === undefined ? undefined : textOf(cert),
    key: key === undefined ? undefined : textOf(key),
    ca: ca === undefined ? undefined : [ca].flat().map((one) => textOf(one as Pem)),
    ...{ passphrase, minVersion, maxVersion, ciphers },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function textOf(pem: Pem): string {
  return typeof pem === "string" ? pem : makeDecoder().decode(pem);
}

/** A socket under TLS. */
class TlsSource implements NodeStreamSource, Securable {
  readonly readable: TLSSocket;
  readonly remoteAddress: Address;
  readonly to: Destination | undefined;
  /** What was decrypted goes into the one memory, too (bench: echo, TLS). */
  readonly isSocketOfOurs = true;
  /** Deno fails with EPERM, and Node would make a record of nothing. */
  readonly refusesEmpty = true;
  readonly #below: Securable;
  readonly #side: Side;

  constructor(socket: TLSSocket, below: Securable, side: Side) {
    this.readable = socket;
    this.remoteAddress = below.remoteAddress;
    this.to = below.to;
    this.#below = below;
    this.#side = side;
  }

  get writable(): TLSSocket {
    return this.readable;
  }

  localAddress(): Address {
    const { localAddress: host = "", localPort: port = 0 } = this.readable;
    return { host, port };
  }

  describe(): string {
    return `${this.#below.describe()} under TLS`;
  }

  extra(name: string): unknown {
    const socket = this.readable;
    if (name === "socket") return socket;
    if (name === "cipher") return socket.getCipher();
    if (name === "tlsVersion") return socket.getProtocol() ?? undefined;
    if (name === "alpnProtocol") return socket.alpnProtocol || undefined; // false is none
    if (name === "serverHostname") return this.#side.hostname || socket.servername || undefined;
    if (name !== "peercert") return undefined;
    const certificate = socket.getPeerCertificate();
    return certificate === null || certificate.raw === undefined ? undefined : certificate;
  }

  reset(): void {
    let below = this.#below;
    while (below instanceof TlsSource) below = below.#below;
    const { readable: raw } = below;
    this.readable.pause();
    // Not now: what runs now may have been called by the host in the middle of decrypting, and Node
    // 24 crashes when the socket goes away under it. And the socket before TLS, which would end it
    // in good order.
    realHost.macrotask(() => {
      if (raw.remoteFamily === undefined || isShuttingDown(this.readable)) raw.destroy();
      else raw.resetAndDestroy();
      this.readable.destroy();
    });
  }

  /**
   * A server sends session tickets when it likes: to a socket that is closed, and that would reset
   * the connection.
   */
  linger(destroy: () => void): void {
    const { isServer, options } = this.#side;
    const socket = this.readable;
    if (isServer || socket.readableEnded) {
      destroy();
      return;
    }
    const { shutdownDelay = SHUTDOWN_DELAY } = options;
    const timer = realHost.setTimer(realHost.now() + shutdownDelay, destroy);
    socket.once("close", () => timer.clear());
    socket.once("end", destroy);
  }

  /** What a server finds wrong with a certificate may come after the handshake (TLS 1.3). */
  explain(error: Error): Error {
    const { code } = error as { code?: unknown };
    return /^ERR_SSL_/.test(String(code)) ? explain(error, this.#side) : error;
  }

  /** TLS in TLS, as a connection through a proxy has it that is itself connected to by TLS. */
  startTls(options: object, attach: (source: NodeStreamSource) => void): Promise<void> {
    return secure(this, options, attach);
  }
}
