/** The errors of channels and their kin. */

import { register } from "../errors/errors.ts";

/**
 * Nothing comes any more: all senders of a channel are closed, and it is drained.
 *
 * @example
 * const progress = new patterns.Watch(0);
 * progress.close();
 * await assert.rejects(progress.until((share) => share === 1), patterns.EndOfChannel);
 */
export class EndOfChannel extends Error {
  readonly code = "ERR_ASYNCIO_END_OF_CHANNEL";
}
register(EndOfChannel, "EndOfChannel");

/**
 * Nobody takes what is sent: all receivers of a channel are closed.
 *
 * @example
 * const [sender, receiver] = patterns.channel<number>(1);
 * receiver.close();
 * await assert.rejects(sender.send(1), patterns.BrokenChannel);
 */
export class BrokenChannel extends Error {
  readonly code = "ERR_ASYNCIO_BROKEN_CHANNEL";
}
register(BrokenChannel, "BrokenChannel");

/**
 * A subscriber was too slow: items were sent that it has not got. It goes on with the oldest that
 * is still there.
 *
 * @example
 * const prices = new patterns.Broadcast<number>({ capacity: 1, overflow: "lag" });
 * using slow = prices.subscribe();
 * for (const price of [1, 2, 3]) await prices.send(price);
 * const error = await slow.receive().catch((error) => error);
 * assert.ok(error instanceof patterns.Lagged);
 * assert.deepEqual([error.missed, await slow.receive()], [2, 3]);
 */
export class Lagged extends Error {
  readonly code = "ERR_ASYNCIO_LAGGED";
  /** How many items it has not got. */
  readonly missed: number;

  constructor(missed: number) {
    super(`the subscriber was too slow: ${missed} items were sent that it has not got`);
    this.missed = missed;
  }
}
register(Lagged, "Lagged");
