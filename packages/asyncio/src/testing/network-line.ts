/**
 * One direction of a simulated connection, and what is on its way there. Pieces arrive in order,
 * each after the latency of its link, and the link may hold them back.
 */

import type { EventLoop } from "../kernel/loop.ts";
import { type Carrier, type Pipe, resetBoth } from "../streams/memory-stream.ts";

/** The network that carries them. */
export interface LineNetwork {
  /** Seconds for one piece. */
  drawLatency(): number;
  /** Calls `arrive` at `when`, or as soon after that as the link is whole and the host up. */
  deliver(loop: EventLoop, from: string, to: string, when: number, arrive: () => void): void;
}

interface Packet {
  readonly arrive: () => void;
  /** On the clock of the loop. */
  readonly when: number;
}

/** What one end of a connection has sent and the other has not got: in order. */
export class Line implements Carrier {
  readonly #loop: EventLoop;
  readonly #network: LineNetwork;
  readonly #from: string;
  readonly #to: string;
  readonly #there: Pipe;
  readonly #back: Pipe;
  readonly #packets: Packet[] = [];
  #isMoving = false;

  constructor(
    loop: EventLoop,
    network: LineNetwork,
    from: string,
    to: string,
    there: Pipe,
    back: Pipe,
  ) {
    this.#loop = loop;
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#there = there;
    this.#back = back;
  }

  send(bytes: Uint8Array): void {
    this.#post(() => this.#there.push(bytes));
  }

  sendEof(): void {
    this.#post(() => this.#there.end());
  }

  sendReset(error: Error): void {
    this.#packets.length = 0; // what was not sent is dropped
    this.#post(() => resetBoth(this.#there, this.#back, error));
  }

  #post(arrive: () => void): void {
    const when = this.#loop.time() + this.#network.drawLatency();
    this.#packets.push({ arrive, when });
    this.#move();
  }

  #move(): void {
    const [packet] = this.#packets;
    if (packet === undefined || this.#isMoving) return;
    this.#isMoving = true;
    this.#network.deliver(this.#loop, this.#from, this.#to, packet.when, () => {
      this.#isMoving = false;
      if (this.#packets[0] === packet) {
        this.#packets.shift();
        packet.arrive();
      }
      this.#move();
    });
  }
}
