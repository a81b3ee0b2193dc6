/**
 * Upstream proxies on loopback: HTTP with CONNECT, the same under TLS, SOCKS5; each with or without
 * a password, each able to fail in one way. A proxy connects from an address of its own, so a site
 * sees which one was used.
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createSecureServer } from "node:tls";

/** How a proxy fails. */
export type ProxyFault =
  | "none"
  | "refuses" // no CONNECT: 403, or reply 2
  | "unauthorized"
  | "bad-gateway" // 502, or reply 1
  | "unreachable" // 504, or reply 4: the target's fault in SOCKS5
  | "silent"
  | "garbage"
  | "closes"
  | "truncates" // closes the tunnel after 200 bytes
  | "long-head";

export interface FarmProxyOptions {
  readonly protocol: "http" | "https" | "socks5";
  readonly fault?: ProxyFault;
  readonly username?: string;
  readonly password?: string;
  /** The address that sites see: in 127.0.2.0/24. */
  readonly from: string;
  /** Where a tunnel really goes. */
  portOf(to: { readonly address: string; readonly port: number }): number;
  /** Resolves names that the proxy is told; the first address counts. */
  readonly zone?: Readonly<Record<string, readonly string[]>>;
}

export interface FarmProxy {
  readonly host: string;
  readonly port: number;
  fault: ProxyFault;
  /** What it was asked to connect to. */
  readonly asked: readonly string[];
  readonly open: number;
  /** Resolves when no connection is open any more. */
  waitQuiet(): Promise<void>;
  close(): Promise<void>;
}

const folder = join(import.meta.dirname, "certificates");

/** Starts one. It listens on 127.0.3.1, which is farm.test for TLS. */
export async function openProxy(options: FarmProxyOptions): Promise<FarmProxy> {
  const sockets = new Set<Socket>();
  const quiet = new Set<() => void>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      if (sockets.size > 0) return;
      for (const resolve of quiet) resolve();
      quiet.clear();
    });
  };
  const asked: string[] = [];
  const proxy = { fault: options.fault ?? "none" };
  const handle = (socket: Socket): void => {
    track(socket);
    serve(socket, options, proxy.fault, asked, track).catch(() => socket.destroy());
  };
  const server =
    options.protocol === "https"
      ? createSecureServer(
          {
            cert: readFileSync(join(folder, "farm.pem")),
            key: readFileSync(join(folder, "farm-key.pem")),
          },
          handle,
        )
      : createServer(handle);
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.3.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    host: "127.0.3.1",
    port,
    asked,
    get fault() {
      return proxy.fault;
    },
    set fault(fault) {
      proxy.fault = fault;
    },
    get open() {
      return sockets.size;
    },
    async waitQuiet() {
      if (sockets.size > 0) await new Promise<void>((resolve) => quiet.add(resolve));
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function serve(
  socket: Socket,
  options: FarmProxyOptions,
  fault: ProxyFault,
  asked: string[],
  track: (socket: Socket) => void,
): Promise<void> {
  if (fault === "silent") return void socket.resume();
  if (fault === "closes") return void socket.destroy();
  if (fault === "garbage") return void socket.end("220 mail.farm.test ESMTP\r\n");
  const isSocks = options.protocol === "socks5";
  const target = await (isSocks ? socksTarget : httpTarget)(socket, options, fault);
  if (target === undefined) return;
  asked.push(`${target.host}:${target.port}`);
  const address = options.zone?.[target.host]?.[0] ?? target.host;
  const far = connect({
    host: address,
    port: options.portOf({ address, port: target.port }),
    localAddress: options.from,
  });
  track(far);
  try {
    await once(far, "connect");
  } catch {
    socket.end(
      isSocks ? Buffer.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0) : "HTTP/1.1 502 Bad Gateway\r\n\r\n",
    );
    return;
  }
  const padding = fault === "long-head" ? `x-long: ${"y".repeat(32_768)}\r\n` : "";
  socket.write(
    isSocks ? Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0) : `HTTP/1.1 200 OK\r\n${padding}\r\n`,
  );
  splice(socket, far, fault === "truncates" ? 200 : Number.POSITIVE_INFINITY);
}

function splice(near: Socket, far: Socket, most: number): void {
  let left = most;
  far.on("data", (chunk) => {
    near.write(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) near.destroy();
  });
  far.on("end", () => near.end());
  near.pipe(far);
  near.on("close", () => far.destroy());
  far.on("close", () => near.destroy());
}

interface Asked {
  readonly host: string;
  readonly port: number;
}

async function read(socket: Socket, isWhole: (bytes: Buffer) => boolean): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (!isWhole(bytes)) {
    const chunk: Buffer<ArrayBuffer> | null = socket.read();
    if (chunk !== null) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) throw new Error("ended");
    else await Promise.race([once(socket, "readable"), once(socket, "close")]);
  }
  return bytes;
}

async function httpTarget(
  socket: Socket,
  options: FarmProxyOptions,
  fault: ProxyFault,
): Promise<Asked | undefined> {
  const head = (await read(socket, (bytes) => bytes.includes("\r\n\r\n"))).toString("latin1");
  const refuse = (status: string): undefined => void socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
  const [, host = "", port = ""] = /^CONNECT \[?([^ ]*?)\]?:(\d+) /.exec(head) ?? [];
  const { username, password = "" } = options;
  const wanted = Buffer.from(`${username}:${password}`).toString("base64");
  const isKnown = username === undefined || head.includes(`Basic ${wanted}\r\n`);
  if (!isKnown || fault === "unauthorized") return refuse("407 Proxy Authentication Required");
  if (fault === "refuses") return refuse("403 Forbidden");
  if (fault === "bad-gateway") return refuse("502 Bad Gateway");
  if (fault === "unreachable") return refuse("504 Gateway Timeout");
  return { host, port: Number(port) };
}

async function socksTarget(
  socket: Socket,
  options: FarmProxyOptions,
  fault: ProxyFault,
): Promise<Asked | undefined> {
  await read(socket, (bytes) => bytes.length >= 2 + (bytes[1] ?? 255));
  if (options.username !== undefined || fault === "unauthorized") {
    socket.write(Buffer.of(5, 2));
    const login = await read(socket, (bytes) => {
      const name = bytes[1] ?? 255;
      return bytes.length >= 3 + name + (bytes[2 + name] ?? 255);
    });
    const name = login.subarray(2, 2 + (login[1] ?? 0)).toString();
    const word = login.subarray(3 + (login[1] ?? 0)).toString();
    const isKnown = name === options.username && word === (options.password ?? "");
    socket.write(Buffer.of(1, isKnown && fault !== "unauthorized" ? 0 : 1));
    if (!isKnown || fault === "unauthorized") return void socket.end();
  } else socket.write(Buffer.of(5, 0));
  const ask = await read(socket, (bytes) => bytes.length >= lengthOfAsk(bytes));
  const reply = { refuses: 2, "bad-gateway": 1, unreachable: 4 }[fault as string];
  if (reply !== undefined) {
    return void socket.end(Buffer.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0));
  }
  const port = ask.readUInt16BE(ask.length - 2);
  if (ask[3] === 3) return { host: ask.subarray(5, ask.length - 2).toString(), port };
  return { host: [...ask.subarray(4, 8)].join("."), port };
}

function lengthOfAsk(bytes: Buffer): number {
  if (bytes[3] === 1) return 10;
  if (bytes[3] === 4) return 22;
  return bytes.length < 5 ? 5 : 7 + (bytes[4] ?? 255);
}
