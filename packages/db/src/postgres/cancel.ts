/**
 * The cancel request of PostgreSQL: 16 bytes on a connection of its own, to the very address that
 * the session is connected to. A name may stand for several servers, and a list of hosts does: what
 * was connected once is asked, and not looked up again. With TLS, as the session has it.
 *
 * The server closes that connection when it has sent the signal: that, and not that the bytes were
 * written, is when the request is over. One that is given up before is left to the server all the
 * same: PgBouncer 1.18 ends another client, or itself, if whoever has asked for a cancel hangs up
 * while the pooler brings it to the server.
 */

import { createConnection, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** Where a session is connected to. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** A connection that brings one cancel request. */
export interface CancelWire {
  /** False once it is closed. */
  readonly isOpen: boolean;
  /** Settles when the server has closed it; rejects if it may not have got the request. */
  readonly ended: Promise<void>;
  /** Sends the request of the session with this process and key: in the call, if it is connected. */
  send(processId: number, secretKey: number): void;
  /** Gives it up in the call: nobody waits for its end any more. */
  destroy(): void;
}

/** Seconds that a server has to close a connection whose request was given up. */
const FORGOTTEN = 10;

const SSL_REQUEST: Buffer = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** Connects to the address, for one cancel request. */
export function dialCancel(address: Address, tls: ConnectionOptions | undefined): CancelWire {
  return new CancelSocket(address, tls);
}

class CancelSocket implements CancelWire {
  isOpen = true;
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  /** What the request goes on, once it is connected. */
  #ready: Socket | undefined = undefined;
  #message: Buffer | undefined = undefined;
  #isSent = false;
  #over: () => void = () => {};

  constructor(address: Address, tls: ConnectionOptions | undefined) {
    const socket = createConnection({ ...address, noDelay: true });
    this.#socket = socket;
    this.ended = new Promise<void>((resolve, reject) => {
      this.#over = resolve;
      const follow = (one: Socket): void => {
        // After a reset nobody knows whether the server has read the request.
        one.on("error", reject);
        one.on("close", () => {
          this.isOpen = false;
          if (this.#isSent) resolve();
          else reject(new Error(REFUSED));
        });
      };
      follow(socket);
      socket.once("connect", () => {
        if (tls === undefined) this.#connected(socket);
        else secured(socket, tls, follow, (secure) => this.#connected(secure));
      });
    });
    this.ended.catch(() => {}); // one that nobody has used
  }

  send(processId: number, secretKey: number): void {
    const message = Buffer.alloc(16);
    message.writeInt32BE(16, 0);
    message.writeInt32BE(80_877_102, 4); // 1234 and 5678
    message.writeInt32BE(processId, 8);
    message.writeInt32BE(secretKey, 12);
    this.#message = message;
    this.#flush();
  }

  destroy(): void {
    this.isOpen = false;
    const ready = this.#ready;
    if (ready === undefined || !this.#isSent) this.#socket.destroy();
    else {
      this.#over();
      ready.unref(); // it keeps no process
      ready.setTimeout(FORGOTTEN * 1000, () => ready.destroy());
    }
  }

  #connected(to: Socket): void {
    to.resume(); // its end is not seen otherwise
    this.#ready = to;
    this.#flush();
  }

  #flush(): void {
    if (this.#ready === undefined || this.#message === undefined) return;
    this.#isSent = true;
    this.#ready.write(this.#message);
  }
}

/** Asks the server for TLS, as its clients do. */
function secured(
  socket: Socket,
  tls: ConnectionOptions,
  follow: (secure: Socket) => void,
  done: (secure: Socket) => void,
): void {
  socket.write(SSL_REQUEST);
  socket.once("data", (answer) => {
    if (answer[0] !== S) {
      socket.destroy(new Error(REFUSED));
      return;
    }
    const secure = connectTls({ ...tls, socket });
    follow(secure);
    secure.once("secureConnect", () => done(secure));
  });
}

/** The server's answer to a client that asks for TLS, if it has it. */
const S = 83;
const REFUSED = "the server has closed the connection before it took the cancel request";
