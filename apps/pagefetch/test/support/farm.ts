/** The farm as a test needs it: an egress that finds it, and a look at what was connected to. */

import type { Farm } from "../../farm/farm.ts";
import { Egress, type EgressOptions } from "../../src/egress/egress.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { type Endpoint, machineWire, type Wire } from "../../src/egress/wire.ts";

/** A wire that notes what it was asked to connect to. */
export function watchedWire(farm: Farm): Wire & { readonly dialled: Endpoint[] } {
  const wire = machineWire(farm.portOf.bind(farm));
  const dialled: Endpoint[] = [];
  return {
    dialled,
    connect(to) {
      dialled.push(to);
      return wire.connect(to);
    },
  };
}

/** Addresses of the farm are allowed, and nothing else that is not public. */
export function egressTo(farm: Farm, options: EgressOptions = {}): Egress {
  return new Egress({
    resolver: zoneResolver(farm.zone),
    wire: machineWire(farm.portOf.bind(farm)),
    allow: [farm.range],
    allowProxies: ["127.0.3.0/24"],
    authorities: [farm.authority],
    ...options,
  });
}
