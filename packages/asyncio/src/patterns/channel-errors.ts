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
