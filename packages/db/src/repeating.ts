/** Transactions that met another one, and are run again from their beginning. */

import { getRunningLoop, HostLoop, sleep, timeLeft } from "asyncio-ts";
import { CommitUnknownError, SerializationError } from "./errors.ts";
import type { Session } from "./session.ts";
import { Transaction, type TransactionOptions } from "./transaction.ts";

/** Seconds between two runs, before they are spread: doubled each time. */
const FIRST_DELAY = 0.005;
const MOST_DELAY = 1;

/** Runs a transaction; again, as often as its options say, when it met another one. */
export type Repeating = <T>(
  options: TransactionOptions,
  run: (make: (session: Session) => Transaction) => Promise<T>,
) => Promise<T>;

/** The repeating of one database: those who meet are spread, so that they do not meet again. */
export function repeating(prepares: boolean): Repeating {
  // The golden ratio spreads any number of contenders evenly, and the same in each test.
  let place = getRunningLoop() instanceof HostLoop ? Math.random() : 0;
  const delayAfter = (attempt: number): number => {
    place = (place + 0.618_033_988_75) % 1;
    return Math.min(FIRST_DELAY * 2 ** attempt, MOST_DELAY) * (0.5 + place);
  };
  const repeat: Repeating = async ({ retries = 0, name = NAME }, run) => {
    for (let attempt = 0; ; attempt++) {
      let transaction: Transaction | undefined;
      try {
        return await run((session) => {
          transaction = new Transaction(session, name, prepares);
          return transaction;
        });
      } catch (error) {
        const mayRepeat = attempt < retries && transaction?.hasStreamed !== true;
        if (!mayRepeat || !isRepeatable(error)) throw error;
        const delay = delayAfter(attempt);
        if (delay >= timeLeft()) throw error; // it would only turn into a timeout
        await sleep(delay);
      }
    }
  };
  return (options, run) => {
    if (options.retries !== undefined) return repeat(options, run);
    return run((session) => new Transaction(session, options.name ?? NAME, prepares));
  };
}

const NAME = "transaction";

/** Whether a transaction that ended so may be run again. */
function isRepeatable(error: unknown): boolean {
  let one: unknown = error;
  for (let depth = 0; depth < 10 && one instanceof Error; depth++) {
    if (one instanceof CommitUnknownError) return false;
    if (one instanceof SerializationError) return true;
    one = one.cause;
  }
  return false;
}
