/** The whole service: what fetches, the store and the HTTP API. */

import { spawn } from "node:child_process";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { createApp } from "../api/app.ts";
import { Service } from "../api/service.ts";
import type { EgressOptions } from "../egress/egress.ts";
import { createOutputs } from "../outputs/outputs.ts";
import type { Key } from "../store/keys.ts";
import { withStore } from "../store/store.ts";
import { assemble } from "./assemble.ts";
import type { Config } from "./config.ts";

export interface Running {
  readonly app: ReturnType<typeof createApp>;
  readonly service: Service;
}

export interface AppExtras {
  readonly egress?: Partial<EgressOptions> | undefined;
  /** Keys that are not in the store, by their secret. */
  readonly keys?: ReadonlyMap<string, Key> | undefined;
  /** Told of failures that are ours. */
  readonly report: (text: string) => void;
}

/** The whole service, for as long as `body` runs. */
export async function withService<T>(
  config: Config,
  extras: AppExtras,
  body: (running: Running) => Promise<T>,
): Promise<T> {
  const { fetcher, proxies, signer } = assemble(config, extras.egress);
  using _closed = fetcher;
  await using outputs = createOutputs();
  const onTrouble = (error: unknown): void => {
    extras.report(`the ledger cannot be written: ${nameOf(error)}`);
  };
  return await withStore({ url: config.store, onTrouble }, async (store) => {
    const { maxRunning } = config;
    const service = new Service({
      fetcher,
      store,
      outputs,
      proxies,
      keys: extras.keys,
      maxRunning,
    });
    const app = createApp({
      service,
      rendersNever: config.render === "never",
      queryKeys: config.queryKeys,
      publicUrl: config.publicUrl,
      sendClaim: config.claimCommand && claimBy(config.claimCommand),
      directory: signer?.directory,
      onError: (error, id) => extras.report(`request ${id} has failed: ${nameOf(error)}`),
    });
    return await body({ app, service });
  });
}

/** Names of errors only: a message may hold a URL with a password in it. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? error.name : `${error.name} (${code})`;
}

/** Waits until the command has ended, and ends it if it is cancelled. */
function claimBy(command: readonly string[]) {
  return async (address: string, link: string): Promise<void> => {
    const [program = "", ...args] = command;
    const child = spawn(program, [...args, address, link], { stdio: "ignore" });
    try {
      const [code] = await asyncio.timeout(30, () => once(child, "exit"));
      if (code !== 0) throw new Error(`the claim command has ended with ${String(code)}`);
    } finally {
      child.kill();
    }
  };
}
