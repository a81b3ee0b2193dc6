/**
 * One connection of a server, from the moment in which it has a handler. It is gone when the task
 * of the handler ends, whichever way: a task that is given up as hopeless ends, but its body does
 * not, and no `finally` of it runs.
 */

import type { FutureListener } from "../kernel/future.ts";
import { here } from "../kernel/operation.ts";
import type { Task } from "../kernel/task.ts";
import { type ByteStream, describeAddress } from "../streams/network.ts";
import { isLossOf } from "../streams/writer.ts";
import { ExceptionGroup } from "../tasks/exception-group.ts";
import { cleanup } from "../tasks/timeouts.ts";

/** Seconds in which a connection may flush after its handler was cancelled. */
export const LAST_WORDS = 5;
/** The same where the time is over that somebody gave the server to end. */
export const LAST_MOMENT = 0.25;

/** What its server is to a connection. */
export interface Home {
  /** `LAST_WORDS`, or `LAST_MOMENT`. */
  lastWords: number;
  /** Is called in the step in which the task of the handler has ended. */
  over(served: Served): void;
}

export class Served implements FutureListener {
  readonly stream: ByteStream;
  /** Undefined until it is made. */
  task: Task<void> | undefined = undefined;
  readonly #home: Home;

  constructor(stream: ByteStream, home: Home) {
    this.stream = stream;
    this.#home = home;
  }

  get peer(): string {
    return describeAddress(this.stream.remoteAddress) || "the client of a Unix socket";
  }

  /** @internal Its task has ended. */
  futureDone(): void {
    this.cutOff();
    this.#home.over(this);
  }

  /**
   * How many cancellations its handler has swallowed since its grace period was over. It is not
   * over if undefined.
   */
  get swallowed(): number | undefined {
    const state = this.task?.scope.cancelState;
    return state?.insists === true ? state.refusals : undefined;
  }

  /**
   * True if its handler waits for nothing that a cancellation could end, and has not been about to
   * wait since `swallowed`.
   */
  isStuck(swallowed: number | undefined): boolean {
    const { task } = this;
    if (task === undefined || task.done() || swallowed === undefined) return false;
    return this.swallowed === swallowed && task.waitingFor().length === 0;
  }

  /**
   * Lets what was written leave. Once the handler, or this, was cancelled, it has `lastWords`
   * seconds for that: the peer may never read it.
   */
  async end(): Promise<void> {
    const { stream } = this;
    stream.close();
    const scope = here();
    let isGone = false;
    try {
      if (scope.peekDue() === undefined && scope.cancelling() === 0) {
        await stream.waitClosed();
        isGone = true;
      }
    } finally {
      if (!isGone) {
        const closed = await cleanup(this.#home.lastWords, async () => {
          await stream.waitClosed();
          return true;
        });
        if (closed === undefined) stream.abort();
      }
    }
  }

  /**
   * Closes the connection in the call. Where that would lose what is still here, the peer gets a
   * reset instead of an end.
   */
  cutOff(): void {
    this.stream.close();
    if (this.stream.unsent > 0) this.stream.abort();
  }
}

/**
 * Whether a handler has failed because its own connection is lost, or was closed under it. Its code
 * alone tells nothing.
 */
export function isOwnLoss(exception: unknown, stream: ByteStream): boolean {
  if (exception instanceof ExceptionGroup)
    return exception.errors.every((error) => isOwnLoss(error, stream));
  return isLossOf(stream, exception);
}
