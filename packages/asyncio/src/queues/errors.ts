/** The errors of queues. */

import { register } from "../errors/errors.ts";

/** `getNowait` found the queue empty. */
export class QueueEmpty extends Error {
  readonly code = "ERR_ASYNCIO_QUEUE_EMPTY";
}
register(QueueEmpty, "QueueEmpty");

/** `putNowait` found the queue full. */
export class QueueFull extends Error {
  readonly code = "ERR_ASYNCIO_QUEUE_FULL";
}
register(QueueFull, "QueueFull");

/** The queue was shut down: it takes nothing more, and gives nothing more once it is drained. */
export class QueueShutDown extends Error {
  readonly code = "ERR_ASYNCIO_QUEUE_SHUT_DOWN";
}
register(QueueShutDown, "QueueShutDown");
