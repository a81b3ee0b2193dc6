/**
 * Connections that have served a request and may serve another one: of the same route and origin,
 * and to an address that the host still has. They wait for a few seconds, a bounded number of them,
 * and do not keep the process alive.
 */

import type { Duplex } from "node:stream";
import { inRoot } from "../egress/wire.ts";
import type { HttpLine } from "./http-line.ts";

export interface IdleOptions {
  /** Seconds that one waits; 0 keeps none. @default 4 */
  readonly idleTime?: number | undefined;
  /** @default 256 */
  readonly mostIdle?: number | undefined;
}

interface Idle {
  readonly line: HttpLine;
  readonly key: string;
  readonly timer: NodeJS.Timeout;
  readonly lost: () => void;
}

/** For one route and origin. Fewer than are in use at a time would mean to connect again and again. */
const MOST_OF_A_KIND = 64;

export class IdleLines {
  readonly #time: number;
  readonly #most: number;
  readonly #kinds = new Map<string, Set<Idle>>();
  #size = 0;
  #isClosed = false;

  constructor({ idleTime = 4, mostIdle = 256 }: IdleOptions = {}) {
    this.#time = idleTime;
    this.#most = mostIdle;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether connections are kept at all. */
  get keeps(): boolean {
    return this.#time > 0 && !this.#isClosed;
  }

  /** One that goes to one of `addresses`; undefined if there is none. It is the caller's then. */
  take(key: string, addresses: readonly string[]): HttpLine | undefined {
    for (const idle of this.#kinds.get(key) ?? []) {
      if (!idle.line.isFree) this.#drop(idle);
      else if (addresses.includes(idle.line.line.address)) {
        this.#forget(idle);
        refable(idle.line)?.ref?.();
        return idle.line;
      }
    }
    return undefined;
  }

  /** Keeps `line`, or ends it. */
  give(key: string, line: HttpLine): void {
    const kind = this.#kinds.get(key) ?? new Set();
    const isRoom = this.#size < this.#most && kind.size < MOST_OF_A_KIND;
    if (!this.keeps || !line.isFree || !isRoom) {
      line.destroy();
      return;
    }
    const timer = inRoot(() => setTimeout(() => this.#drop(idle), this.#time * 1000).unref());
    const lost = (): void => this.#drop(idle);
    const idle: Idle = { line, key, timer, lost };
    line.line.raw.once("close", lost);
    refable(line)?.unref?.();
    kind.add(idle);
    this.#kinds.set(key, kind);
    this.#size++;
  }

  /** Ends those that are there, and those that come. */
  close(): void {
    this.#isClosed = true;
    for (const kind of this.#kinds.values()) for (const idle of kind) this.#drop(idle);
  }

  #forget(idle: Idle): void {
    clearTimeout(idle.timer);
    idle.line.line.raw.off("close", idle.lost);
    const kind = this.#kinds.get(idle.key);
    if (kind?.delete(idle) !== true) return;
    if (kind.size === 0) this.#kinds.delete(idle.key);
    this.#size--;
  }

  #drop(idle: Idle): void {
    this.#forget(idle);
    idle.line.destroy();
  }
}

/** Sockets of the machine can be kept from holding the process; simulated ones need not be. */
function refable(line: HttpLine): { ref?(): unknown; unref?(): unknown } {
  return line.line.raw as Duplex & { ref?(): unknown; unref?(): unknown };
}
