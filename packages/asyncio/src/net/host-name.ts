/** What the names of hosts have to be. */

import { checkText, rangeError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Address } from "../streams/network.ts";

/**
 * A name that ends in the middle for the system is not the one that was checked: Node 20 asks it
 * for "localhost" when it is given "localhost\0.example.org".
 *
 * @throws TypeError, RangeError unless `host` is text without a NUL. `what` completes "expects
 * ...".
 */
export function checkHost(api: string, what: string, host: unknown): asserts host is string {
  checkText(api, what, host);
  if (host.includes("\0")) throw rangeError(api, `${what}, without a NUL`, host);
}

/** The parts of an address that stands among options. */
export const ADDRESS: Names<Address> = { host: "string", port: 1, path: "string" };
