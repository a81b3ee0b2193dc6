/** The farm as a test needs it: an egress that finds it, and a look at what was connected to. */

import assert from "node:assert/strict";
import * as asyncio from "asyncio-ts";
import type { Farm } from "../../farm/farm.ts";
import { PageError } from "../../src/contract/errors.ts";
import { Egress, type EgressOptions } from "../../src/egress/egress.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { type Endpoint, machineWire, type RawSocket, type Wire } from "../../src/egress/wire.ts";
import { Fetcher, type FetcherOptions } from "../../src/fetch/fetcher.ts";

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

/** Runs `body` as a program of its own. */
export function run<T>(body: () => Promise<T>): Promise<T> {
  return asyncio.run(body, { signals: false });
}

/**
 * Opens a fetcher for `body`, and closes it. When `body` has ended, however it ended, no connection
 * of it is open but those that are kept; after the close none at all.
 */
export async function withFetcher<T>(
  farm: Farm,
  body: (fetcher: Fetcher) => Promise<T>,
  options: FetcherOptions & EgressOptions = {},
): Promise<T> {
  const wire = options.wire ?? machineWire(farm.portOf.bind(farm));
  const opened: RawSocket[] = [];
  const noting: Wire = {
    async connect(to) {
      const socket = await wire.connect(to);
      opened.push(socket);
      return socket;
    },
  };
  const open = (): number => opened.filter(({ destroyed }) => !destroyed).length;
  try {
    return await run(async () => {
      const egress = egressTo(farm, { ...options, wire: noting });
      using fetcher = new Fetcher({ egress, random: () => 0, ...options });
      try {
        return await body(fetcher);
      } finally {
        assert.equal(open(), fetcher.idle, "connections have outlived their request");
        assert.equal(fetcher.held.total, 0, "bytes are counted that nobody holds");
      }
    });
  } finally {
    assert.equal(open(), 0, "connections have outlived their fetcher");
    await farm.waitQuiet();
  }
}

/** The error that `work` ends with; fails if there is none, or it is not one of ours. */
export async function failure(work: Promise<unknown>): Promise<PageError> {
  const error: unknown = await work.then(
    () => assert.fail("it has not failed"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof PageError, String(error));
  return error;
}
