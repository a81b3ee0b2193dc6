/**
 * The service as a process, and a store that fails under it: a disk that is full, and a server of
 * PostgreSQL that goes and comes back. Pages go on, and no row is lost.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { lacksPostgres, startPostgres } from "asyncio-ts-db/testing";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { createClient } from "../../src/client/client.ts";
import { run } from "../support/farm.ts";
import { openService, type ServiceProcess } from "../support/service-process.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

const fast = { interval: 0, inFlight: 100 };
const politeness = { domain: fast, address: fast, maxInterval: 0 };

/** Pages one after the other, each of which has to come. How many have come is what has to be paid. */
class Caller {
  pages = 0;
  readonly #service: ServiceProcess;
  readonly #headers: { readonly authorization: string };

  constructor(service: ServiceProcess) {
    this.#service = service;
    this.#headers = { authorization: `Bearer ${service.key}` };
  }

  async get(count: number): Promise<void> {
    const { address: base, key } = this.#service;
    const client = createClient({ base, key });
    for (let n = 0; n < count; n++) {
      assert.equal((await client("http://example.com/")).status, 200);
      this.pages++;
    }
  }

  async status(path: string): Promise<number> {
    const headers = this.#headers;
    const response = await asyncio.fetch(`${this.#service.address}${path}`, { headers });
    await response.text();
    return response.status;
  }

  /** Gets pages until the service says that it is ready, or that it is not. */
  async until(status: 200 | 503): Promise<void> {
    await asyncio.timeout(120, async () => {
      while ((await this.status("/readyz")) !== status) await this.get(1);
    });
  }

  /** Waits until the ledger has a row for each page. */
  async settled(): Promise<void> {
    await asyncio.timeout(60, async () => {
      for (;;) {
        const headers = this.#headers;
        const response = await asyncio.fetch(`${this.#service.address}/v1/usage`, { headers });
        const usage = (await response.json()) as { requests: number };
        if (usage.requests >= this.pages) return assert.equal(usage.requests, this.pages);
        await asyncio.sleep(0.1);
      }
    });
  }
}

async function ended(service: ServiceProcess): Promise<void> {
  const { signal, last } = await service.end("SIGTERM");
  assert.equal(signal, "SIGTERM");
  assert.deepEqual(JSON.parse(last), { sockets: 0, running: 0 }, service.said());
}

/** A disk needs a file system of its own, and Linux lets us have one, or does not. */
function lacksDisks(): string | false {
  const mount = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"];
  const { status } = spawnSync("unshare", ["--mount", "--map-root-user", ...mount]);
  return status === 0 ? false : "this user may not mount a file system";
}

test("a disk that is full costs no page and no row", { skip: lacksDisks() }, () =>
  run(async () => {
    const folder = mkdtempSync(join(tmpdir(), "pagefetch-disk-"));
    const config = { politeness, store: join(folder, "store.db"), drain: 2 };
    const service = await openService(farm, config, { disk: { folder, size: 4 } });
    /** The disk as the process sees it. */
    const disk = join(`/proc/${service.pid}/root`, folder);
    const filler = join(disk, "filler");
    try {
      const caller = new Caller(service);
      await caller.get(2);
      await caller.settled();

      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
      await caller.until(503);
      await caller.get(20);
      assert.match(service.said(), /the ledger cannot be written/);
      rmSync(filler);
      await caller.until(200);

      await caller.settled();
      assert.ok(caller.pages > 22);
      await ended(service);
    } finally {
      await service.end("SIGKILL");
      rmdirSync(folder); // the disk has gone with the process
    }
    await farm.waitQuiet();
  }),
);

test("a PostgreSQL that goes away costs no page and no row", { skip: lacksPostgres() }, () =>
  run(async () => {
    const server = await startPostgres();
    const service = await openService(farm, { politeness, store: server.url(), drain: 2 });
    try {
      const caller = new Caller(service);
      await caller.get(2);
      await caller.settled();

      for (const goes of ["crash", "shutDown"] as const) {
        await server[goes]();
        await caller.until(503);
        await caller.get(20);
        assert.equal(await caller.status("/v1/usage"), 503);
        await server.start();
        await caller.until(200);
        await caller.settled();
      }
      await ended(service);
    } finally {
      await service.end("SIGKILL");
      await server.stop();
    }
    await farm.waitQuiet();
  }),
);
