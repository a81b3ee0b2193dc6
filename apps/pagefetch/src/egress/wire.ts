/**
 * The one place that opens sockets. Everything above works on what it gives, so a test can put
 * another one here: the simulated network, or one that maps ports.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { interruption, park } from "asyncio-ts/lowlevel";

/** A connected socket, or what behaves as one. */
export interface RawSocket extends Duplex {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** The address of this machine to connect from. */
  readonly localAddress?: string | undefined;
}

export interface Wire {
  /**
   * Connects to one address. Cancelled, there is no connection. The caller owns the socket, which
   * reads nothing before it is asked to.
   */
  connect(to: Endpoint): Promise<RawSocket>;
  /**
   * Called when something was written that the other side is to answer: tests hold their clock
   * until it is on its way.
   */
  nudge?(): void;
}

/** A socket must not keep the scope alive in which it was made: it may serve other requests. */
export const inRoot: <T>(body: () => T) => T = AsyncLocalStorage.snapshot();

const ignore = (): void => {};

/** The network of this machine. `portOf` may send a connection to another port. */
export function machineWire(portOf: (to: Endpoint) => number = ({ port }) => port): Wire {
  return {
    connect(to) {
      const subject = `a connection to port ${to.port}`;
      const stop = interruption(subject);
      if (stop !== undefined) return stop;
      const socket = inRoot(() =>
        connect({
          host: to.address,
          port: portOf(to),
          ...(to.localAddress === undefined ? {} : { localAddress: to.localAddress }),
          noDelay: true,
          autoSelectFamily: false,
        }),
      );
      const wait = park<RawSocket>(subject, () => {
        socket.destroy();
        return true;
      });
      const failed = (error: Error): void => void wait.fail(error);
      socket.once("error", failed);
      socket.once("connect", () => {
        socket.off("error", failed);
        if (!wait.resume(socket)) socket.destroy();
      });
      socket.on("error", ignore); // what happens later is told by whoever reads
      return wait.promise;
    },
  };
}
