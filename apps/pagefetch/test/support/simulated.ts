/**
 * The pipeline on the simulated network, in virtual time: hosts, latency, resets and partitions of
 * `asyncio-ts/testing` under undici itself, which knows nothing of it.
 *
 * undici works in ticks of the host, which virtual time does not wait for. So the clock is held for
 * two turns of the host whenever bytes have been handed to it, or it was asked for something.
 */

import { Duplex } from "node:stream";
import * as asyncio from "asyncio-ts";
import { fault } from "asyncio-ts/testing";
import type { RawSocket, Wire } from "../../src/egress/wire.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function holdClock(): Promise<void> {
  await asyncio.cancellable(turn);
  await asyncio.cancellable(turn);
}

function hostFailure(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}

/** They hold the clock, and end with the connection. */
const onTheirWay = new Set<asyncio.Task<void>>();

/** A connection of asyncio's as a socket of Node's. */
class SimulatedSocket extends Duplex implements RawSocket {
  bytesRead = 0;
  bytesWritten = 0;
  readonly #connection: asyncio.Connection;
  readonly #pump: asyncio.Task<void>;

  constructor(connection: asyncio.Connection) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#pump = asyncio.createTask(() => this.#read(), { name: "a simulated socket" });
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#connection.reader.read(65_536);
        fault("read", () => hostFailure("ECONNRESET", "read"));
        this.bytesRead += chunk.length;
        this.push(chunk.length === 0 ? null : chunk);
        await holdClock();
        if (chunk.length === 0) return;
      }
    } catch (error) {
      if (error instanceof asyncio.CancelledError) throw error;
      this.destroy(error as Error); // errors of streams are Errors
      await holdClock();
    }
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    try {
      fault("write", () => hostFailure("EPIPE", "write"));
    } catch (error) {
      done(error as Error); // it was made above
      return;
    }
    this.bytesWritten += chunk.length;
    void this.#connection.writer.write(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.#connection.writer.writeEof();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.writer.abort();
    this.#pump.cancel();
    for (const task of onTheirWay) task.cancel();
    done(error);
  }
}

/** Connects on the simulated host that the code runs on. */
export const simulatedWire: Wire = {
  async connect({ address, port }) {
    fault("connect", () => hostFailure("ECONNREFUSED", "connect"));
    const connection = await asyncio.openConnection(address, port);
    const socket = new SimulatedSocket(connection);
    socket.on("error", () => {});
    return socket;
  },
  nudge() {
    const task = asyncio.createTask(holdClock, { name: "a request on its way" });
    onTheirWay.add(task);
    task.addDoneCallback(() => onTheirWay.delete(task));
  },
};
