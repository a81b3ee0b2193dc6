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

/** Seconds a connection may keep flushing after its handler was cancelled. */
const LAST_WORDS = 5;

export class Served implements FutureListener {
  readonly stream: ByteStream;
  /** Undefined until it is made. */
  task: Task<void> | undefined = undefined;
  readonly #over: (served: Served) => void;

  /** `over` is called in the step in which the task has ended. */
  constructor(stream: ByteStream, over: (served: Served) => void) {
    this.stream = stream;
    this.#over = over;
  }

  get peer(): string {
    return describeAddress(this.stream.remoteAddress) || "the client of a Unix socket";
  }

  /** @internal Its task has ended. */
  futureDone(): void {
    this.cutOff();
    this.#over(this);
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
   * Lets what was written leave. Only for some seconds if the server is in a hurry: the peer may
   * never read it.
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
        const closed = await cleanup(LAST_WORDS, async () => {
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
