/** Which host of a simulated network the running code is on. */

import type { Network } from "../ports/network.ts";
import { ContextVar } from "../tasks/context-var.ts";

/** Set by `host.run`, inherited by the tasks that are started in it. */
export const currentHost: ContextVar<Network | undefined> = new ContextVar("network host", {
  default: undefined,
});

/** The simulated host that the running code is on, as its network; undefined elsewhere. */
export function networkHere(): Network | undefined {
  return currentHost.get();
}
