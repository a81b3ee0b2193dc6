/** The service over real connections on a free port, with a farm as its internet. */

import assert from "node:assert/strict";
import * as asyncio from "asyncio-ts";
import type { Farm } from "../../farm/farm.ts";
import { serve } from "../../src/api/serve.ts";
import type { Service } from "../../src/api/service.ts";
import { type Config, check } from "../../src/cli/config.ts";
import { type AppExtras, withService } from "../../src/cli/running.ts";
import type { EgressOptions } from "../../src/egress/egress.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { machineWire } from "../../src/egress/wire.ts";
import type { KeySettings } from "../../src/store/keys.ts";
import { run } from "./farm.ts";

export interface World {
  readonly address: string;
  readonly key: string;
  readonly service: Service;
  /** What was reported as the service's own fault. A test that expects some empties it. */
  readonly reports: string[];
  ask(path: string, init?: RequestInit & { readonly key?: string | null }): Promise<Response>;
  post(path: string, json: unknown, key?: string | null): Promise<Response>;
  newKey(settings?: Partial<KeySettings>): Promise<string>;
}

const fast = { interval: 0, inFlight: 100 };

export function egressOf(farm: Farm): Partial<EgressOptions> {
  return {
    resolver: zoneResolver(farm.zone),
    wire: machineWire(farm.portOf.bind(farm)),
    authorities: [farm.authority],
  };
}

/** A service on a free port, until `body` has ended. Nothing of it is left then, at the farm either. */
export async function withApi(
  farm: Farm,
  body: (world: World) => Promise<void>,
  config: Config = {},
  { sendTimeout }: Pick<AppExtras, "sendTimeout"> = {},
): Promise<void> {
  await run(async () => {
    const whole = check({
      allow: [farm.range],
      politeness: { domain: fast, address: fast },
      ...config,
    });
    const reports: string[] = [];
    const report = (text: string): void => void reports.push(text);
    const extras = { egress: egressOf(farm), report, sendTimeout };
    await withService(whole, extras, async ({ app, service }) => {
      const newKey = async (settings: Partial<KeySettings> = {}): Promise<string> => {
        const given = { name: "test", rate: 1000, burst: 1000, concurrency: 1000, ...settings };
        return (await service.store.keys.create(given)).secret;
      };
      const key = await newKey();
      await serve(app, service, { port: 0, drain: config.drain ?? 2 }, async (address) => {
        const ask: World["ask"] = async (path, { key: other, ...init } = {}) => {
          const secret = other === undefined ? key : other;
          const headers = new Headers(init.headers);
          if (secret !== null) headers.set("authorization", `Bearer ${secret}`);
          return await asyncio.fetch(`${address}${path}`, { ...init, headers });
        };
        const post: World["post"] = (path, json, other) =>
          ask(path, {
            method: "POST",
            body: JSON.stringify(json),
            headers: { "content-type": "application/json" },
            ...(other === undefined ? {} : { key: other }),
          });
        await body({ address, key, service, reports, ask, post, newKey });
      });
      assert.equal(service.held.total, 0, "bytes are counted that nobody holds");
    });
    assert.deepEqual(reports, []);
  });
  await farm.waitQuiet();
}

/** The sums of a key's rows, once no request runs. */
export async function usageOf({ service, key }: Pick<World, "service" | "key">) {
  await written(service);
  return await usageNow({ service, key });
}

/**
 * Waits until no request runs and all have their rows. A page that is sent on while it comes has its
 * row, and is counted, after its client has all of it.
 */
export async function written(service: Service): Promise<void> {
  await service.waitIdle();
  await service.store.ledger.flushed();
}

/** The sums of the rows that are written by now. */
export async function usageNow({ service, key }: Pick<World, "service" | "key">) {
  const until = new Date(Date.now() + 60_000);
  return await service.store.ledger.usage(key.split("_")[1] ?? "", new Date(0), until);
}

export const q = encodeURIComponent;

export async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}
