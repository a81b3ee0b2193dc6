/**
 * Through a proxy: CONNECT of HTTP (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, RFC 1929). Both are
 * tunnels, also for plain HTTP: a proxy that sees a request could change it, and a tunnel costs one
 * round trip.
 */

import type { Duplex } from "node:stream";
import ipaddr from "ipaddr.js";
import type { UpstreamProxy } from "../contract/parts.ts";
import { readMessage } from "./bytes.ts";

/** What the other end of the tunnel is: a name, or an address. */
export interface FarEnd {
  readonly host: string;
  readonly port: number;
}

/**
 * Why there is no tunnel. `isProxys`: the proxy is at fault; otherwise the proxy says that it could
 * not reach the target.
 */
export class NoTunnel extends Error {
  readonly isProxys: boolean;

  constructor(message: string, isProxys = true) {
    super(message);
    this.isProxys = isProxys;
  }
}

/** Waits until bytes written to `socket` come out at `to`. Cancelled, the socket is of no use. */
export function tunnel(
  socket: Duplex,
  proxy: UpstreamProxy,
  to: FarEnd,
  sent: () => void,
): Promise<void> {
  return proxy.protocol === "socks5"
    ? socksTunnel(socket, proxy, to, sent)
    : httpTunnel(socket, proxy, to, sent);
}

const HEAD_LIMIT = 16 * 1024;

async function httpTunnel(
  socket: Duplex,
  proxy: UpstreamProxy,
  to: FarEnd,
  sent: () => void,
): Promise<void> {
  const authority = `${to.host.includes(":") ? `[${to.host}]` : to.host}:${to.port}`;
  const { username, password = "" } = proxy;
  const credentials = Buffer.from(`${username}:${password}`).toString("base64");
  const authorization =
    username === undefined ? "" : `proxy-authorization: Basic ${credentials}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${authorization}\r\n`);
  sent();
  const head = await readMessage(socket, HEAD_LIMIT, (bytes) => {
    const end = bytes.indexOf("\r\n\r\n");
    return end < 0 ? undefined : end + 4;
  });
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(head.toString("latin1"))?.[1];
  if (status === undefined) throw new NoTunnel("it does not answer as an HTTP proxy");
  if (status === "407") throw new NoTunnel("it does not accept the credentials (407)");
  if (!status.startsWith("2")) throw new NoTunnel(`it answers ${status} to CONNECT`);
}

/** RFC 1928, section 6. */
const replies = [
  "",
  "it has failed",
  "it does not allow this connection",
  "it cannot reach the network of the target",
  "it cannot reach the target",
  "the target refuses the connection",
  "the target does not answer",
  "it has no CONNECT",
  "it does not know this kind of address",
];
/** Of these the target is at fault. */
const isTargets = (code: number): boolean => code >= 3 && code <= 6;

async function socksTunnel(
  socket: Duplex,
  proxy: UpstreamProxy,
  to: FarEnd,
  sent: () => void,
): Promise<void> {
  const { username, password = "" } = proxy;
  const hasPassword = username !== undefined;
  socket.write(Uint8Array.from(hasPassword ? [5, 2, 0, 2] : [5, 1, 0]));
  sent();
  const [version, method] = await readMessage(socket, 64, () => 2);
  if (version !== 5) throw new NoTunnel("it does not answer as a SOCKS5 proxy");
  if (method === 2 && hasPassword) {
    const name = Buffer.from(username);
    const word = Buffer.from(password);
    if (name.length > 255 || word.length > 255)
      throw new NoTunnel("its credentials are longer than SOCKS5 can say");
    socket.write(Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(word.length), word]));
    sent();
    const [, status] = await readMessage(socket, 64, () => 2);
    if (status !== 0) throw new NoTunnel("it does not accept the credentials");
  } else if (method !== 0) {
    throw new NoTunnel("it does not accept the credentials");
  }

  socket.write(Buffer.concat([Buffer.of(5, 1, 0), addressOf(to.host), portOf(to.port)]));
  sent();
  const answer = await readMessage(socket, 512, lengthOfReply);
  if (answer[0] !== 5) throw new NoTunnel("it does not answer as a SOCKS5 proxy");
  const code = answer[1] ?? 1;
  if (code !== 0) throw new NoTunnel(replies[code] ?? replies[1] ?? "", !isTargets(code));
}

function addressOf(host: string): Buffer {
  if (ipaddr.isValid(host)) {
    const bytes = ipaddr.parse(host).toByteArray();
    return Buffer.from([bytes.length === 4 ? 1 : 4, ...bytes]);
  }
  const name = Buffer.from(host, "latin1");
  return Buffer.concat([Buffer.of(3, name.length), name]);
}

function portOf(port: number): Buffer {
  return Buffer.of(port >> 8, port & 255);
}

/** A refusal may end behind its code, although the RFC wants an address there as well. */
function lengthOfReply(bytes: Buffer): number | undefined {
  const [version, code, , kind] = bytes;
  if (version !== undefined && version !== 5) return 1;
  if (code !== undefined && code !== 0) return bytes.length;
  if (kind === undefined) return undefined;
  if (kind === 1) return 10;
  if (kind === 4) return 22;
  const length = bytes[4];
  return length === undefined ? undefined : 7 + length;
}
