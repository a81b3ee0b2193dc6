/** Which host of a simulated network the running code is on. */

import type { Network } from "../streams/network.ts";
import { ContextVar } from "../tasks/context-var.ts";

/** Set by `host.run`, inherited by the tasks that are started in it. */
export const currentHost: ContextVar<Network | undefined> = new ContextVar("network host", {
  default: undefined,
});

/**
 * The simulated host that the running code is on, as its network; undefined elsewhere.
 *
 * @example
 * const network = new testing.SimulatedNetwork();
 * await asyncio.run(
 *   async () => {
 *     const server = network.host("server");
 *     await server.run(async () => assert.equal(testing.networkHere(), server));
 *     assert.equal(testing.networkHere(), undefined);
 *   },
 *   { loop: new testing.VirtualLoop() },
 * );
 */
export function networkHere(): Network | undefined {
  return currentHost.get();
}
