/** A program with few descriptors: see descriptors.test.ts. */

import * as asyncio from "asyncio-ts";
import { PageError } from "../../src/contract/errors.ts";
import { Egress } from "../../src/egress/egress.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { machineWire } from "../../src/egress/wire.ts";
import { Fetcher } from "../../src/fetch/fetcher.ts";

const { zone, port, range } = JSON.parse(process.argv[2] ?? "");

await asyncio.run(async () => {
  const egress = new Egress({
    resolver: zoneResolver(zone),
    wire: machineWire(() => port),
    allow: [range],
  });
  using fetcher = new Fetcher({ egress });
  await fetcher.fetch("http://pages.farm.test/bytes/10"); // undici reads its parser at the first use
  const counts: Record<string, number> = {};
  const get = async (): Promise<void> => {
    try {
      await fetcher.fetch("http://slow.farm.test/head?after=0.5", { retries: 0 });
      counts.page = (counts.page ?? 0) + 1;
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      counts[error.message] = (counts[error.message] ?? 0) + 1;
    }
  };
  await asyncio.gather(...Array.from({ length: 150 }, () => get));
  const { status } = await fetcher.fetch("http://pages.farm.test/bytes/10");
  console.log(JSON.stringify({ counts, status }));
});
