/**
 * The cancel request of PostgreSQL: 16 bytes on a connection of its own, to the very address that
 * the session is connected to. A name may stand for several servers, and a list of hosts does: what
 * was connected once is asked, and not looked up again. With TLS, as the session has it.
 *
 * The server closes that connection when it has sent the signal: that, and not that the bytes were
 * written, is when the request is over.
 */

import { createConnection, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** Where a session is connected to. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** A cancel request that is under way. */
export interface CancelRequest {
  /** Settles when the server has closed its connection; rejects if it could not be asked. */
  readonly ended: Promise<void>;
  /** Gives it up in the call. */
  destroy(): void;
}

const SSL_REQUEST: Buffer = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** How many cancel requests of one database are under way at a time; the others wait. */
const MOST = 8;

/** The requests of one database: a server that has much to cancel is not flooded. */
export class CancelLine {
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  /** Sends a request when its turn has come. */
  send(address: Address, process: number, key: number, tls?: ConnectionOptions): CancelRequest {
    let request: CancelRequest | undefined;
    let isDropped = false;
    const begin = async (): Promise<void> => {
      if (isDropped) {
        this.#waiting.shift()?.();
        throw new Error("the connection was lost before the cancel request was sent");
      }
      this.#underWay++;
      request = sendCancel(address, process, key, tls);
      try {
        await request.ended;
      } finally {
        this.#underWay--;
        this.#waiting.shift()?.();
      }
    };
    const ended =
      this.#underWay < MOST
        ? begin()
        : new Promise<void>((resolve) => this.#waiting.push(resolve)).then(begin);
    const destroy = (): void => {
      isDropped = true;
      request?.destroy();
    };
    return { ended, destroy };
  }
}

/** Sends the request of the session with this process and key. */
function sendCancel(
  address: Address,
  processId: number,
  secretKey: number,
  tls: ConnectionOptions | undefined,
): CancelRequest {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80_877_102, 4); // 1234 and 5678
  message.writeInt32BE(processId, 8);
  message.writeInt32BE(secretKey, 12);
  const socket = createConnection({ ...address, noDelay: true });
  const ended = new Promise<void>((resolve, reject) => {
    let isSent = false;
    const send = (to: Socket): void => {
      isSent = true;
      to.write(message);
      to.resume(); // its end is not seen otherwise
    };
    const follow = (one: Socket): void => {
      // After a reset nobody knows whether the server has read the request.
      one.on("error", reject);
      one.on("close", () => (isSent ? resolve() : reject(new Error(REFUSED))));
    };
    follow(socket);
    socket.once("connect", () => {
      if (tls === undefined) {
        send(socket);
        return;
      }
      socket.write(SSL_REQUEST);
      socket.once("data", (answer) => {
        if (answer[0] !== S) {
          socket.destroy(new Error(REFUSED));
          return;
        }
        const secure = connectTls({ ...tls, socket });
        follow(secure);
        secure.once("secureConnect", () => send(secure));
      });
    });
  });
  return { ended, destroy: () => socket.destroy() };
}

/** The server's answer to a client that asks for TLS, if it has it. */
const S = 83;
const REFUSED = "the server has closed the connection before it took the cancel request";
