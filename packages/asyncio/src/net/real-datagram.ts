/**
 * Datagram sockets of the host: `node:dgram`, which Deno and Bun have, too. Loaded when the first
 * one is opened.
 */

import type { Socket, SocketOptions } from "node:dgram";
import { here } from "../kernel/operation.ts";
import { park } from "../kernel/scope.ts";
import { runInRoot } from "../ports/context-storage.ts";
import type {
  Address,
  DatagramPort,
  DatagramPortOptions,
  DatagramReceiver,
} from "../streams/network.ts";

/** Opens a socket. An operation: cancelled, there is none. Rejects with the error of the system. */
export function openRealPort(
  options: DatagramPortOptions,
  receiver: DatagramReceiver,
): Promise<DatagramPort> {
  const scope = here();
  const stop = scope.interruption("createDatagramEndpoint");
  if (stop !== undefined) return stop;
  const socket = makeSocket(options);
  const wait = park<DatagramPort>(scope, "createDatagramEndpoint", () => {
    socket.close();
    return true;
  });
  wait.handsOver = true;
  wait.waitsOutside();
  const failed = (error: Error): void => {
    if (wait.fail(error)) socket.close(); // else it was cancelled, which has closed it
  };
  const opened = (): void => {
    socket.off("error", failed);
    try {
      const { receiveBufferSize, sendBufferSize } = options;
      if (options.broadcast) socket.setBroadcast(true);
      // As options of the socket the host would set them where an error of the system cannot be
      // caught.
      if (receiveBufferSize !== undefined) socket.setRecvBufferSize(receiveBufferSize);
      if (sendBufferSize !== undefined) socket.setSendBufferSize(sendBufferSize);
      const port = new RealPort(socket, receiver, options.remote !== undefined);
      if (!wait.resume(port)) port.close(() => {});
    } catch (error) {
      failed(error as Error); // a system call has failed
    }
  };
  socket.on("error", failed);
  // Its handle keeps the context in which it begins to listen.
  runInRoot(() => bind(socket, options, opened, failed));
  return wait.promise;
}

function makeSocket(options: DatagramPortOptions): Socket {
  const { family, reuseAddress, reusePort } = options;
  const settings: SocketOptions = { type: family === 6 ? "udp6" : "udp4", reuseAddr: reuseAddress };
  if (reusePort) Object.assign(settings, { reusePort });
  return process.getBuiltinModule("node:dgram").createSocket(settings);
}

function bind(
  socket: Socket,
  { local, remote }: DatagramPortOptions,
  opened: () => void,
  failed: (error: Error) => void,
): void {
  try {
    const bound = (): void => {
      if (remote === undefined) opened();
      else
        socket.connect(remote.port, remote.host, (error?: Error | null) => {
          if (error == null) opened();
          else failed(error);
        });
    };
    const where = local?.host === undefined ? {} : { address: local.host };
    socket.bind({ port: local?.port ?? 0, ...where }, bound);
  } catch (error) {
    failed(error as Error); // Node throws errors of the system, and of arguments
  }
}

class RealPort implements DatagramPort {
  readonly address: Address;
  readonly isOutside = true;
  readonly #socket: Socket;
  readonly #isConnected: boolean;

  constructor(socket: Socket, receiver: DatagramReceiver, isConnected: boolean) {
    this.#isConnected = isConnected;
    const { address, port } = socket.address();
    this.address = { host: address, port };
    this.#socket = socket;
    socket.on("message", (message, { address: host, port }) => {
      const bytes = new Uint8Array(message.buffer, message.byteOffset, message.length);
      receiver.arrived({ bytes, from: { host, port } });
    });
    socket.on("error", (error) => receiver.failed(error));
  }

  send(bytes: Uint8Array, to: Address | undefined, sent: (error?: Error) => void): boolean {
    const done = (error: Error | null): void => sent(error ?? undefined);
    const copy = bytes.slice(); // the caller may change it while the address is looked up
    // A connected socket refuses an address, even its own.
    if (to === undefined || this.#isConnected) this.#socket.send(copy, done);
    else this.#socket.send(copy, to.port, to.host, done);
    return false;
  }

  close(closed: () => void): void {
    this.#socket.removeAllListeners("message");
    this.#socket.close(closed);
  }
}
