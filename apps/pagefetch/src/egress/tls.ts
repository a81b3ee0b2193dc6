/**
 * TLS on a connected socket. The name in the certificate must be that of the URL; nothing turns
 * that off. An operator may add authorities.
 */

import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect, createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { interruption, park } from "asyncio-ts/lowlevel";
import { literalOf } from "./address.ts";
import { inRoot } from "./wire.ts";

/** Makes the context that connections share: reading certificates costs milliseconds. */
export function trusting(authorities: readonly string[]): SecureContext | undefined {
  if (authorities.length === 0) return undefined;
  return createSecureContext({ ca: [...rootCertificates, ...authorities] });
}

/**
 * Waits for the handshake and gives the socket under TLS. Cancelled or failed, the one below is
 * destroyed.
 */
export function startTls(
  below: Duplex,
  hostname: string,
  context: SecureContext | undefined,
  sent: () => void,
): Promise<Duplex> {
  const stop = interruption("a TLS handshake");
  if (stop !== undefined) return stop;
  const name = literalOf(hostname) ?? hostname;
  const socket = inRoot(() =>
    connect({
      socket: below,
      host: name, // what the certificate is compared with
      // RFC 6066, 3: an address is no server name.
      ...(isIP(name) === 0 ? { servername: hostname.replace(/\.$/, "") } : {}),
      ALPNProtocols: ["http/1.1"],
      ...(context === undefined ? {} : { secureContext: context }),
    }),
  );
  const wait = park<Duplex>("a TLS handshake", () => {
    socket.destroy();
    below.destroy();
    return true;
  });
  const failed = (error: Error): void => {
    socket.destroy();
    below.destroy();
    wait.fail(error);
  };
  const closed = (): void => failed(new Error("the connection was closed"));
  socket.on("error", failed);
  socket.on("close", closed);
  socket.once("secureConnect", () => {
    socket.off("error", failed);
    socket.off("close", closed);
    socket.on("error", () => {});
    if (!wait.resume(socket)) socket.destroy();
  });
  sent();
  return wait.promise;
}
