/** The whole service: what fetches, the store and the HTTP API. */

import * as asyncio from "asyncio-ts";
import { createApp } from "../api/app.ts";
import { Service } from "../api/service.ts";
import { defaultHeldBytes, HeldBytes } from "../contract/held.ts";
import { use } from "../contract/use.ts";
import type { EgressOptions } from "../egress/egress.ts";
import { createOutputs, type Outputs } from "../outputs/outputs.ts";
import type { Key } from "../store/keys.ts";
import { withStore } from "../store/store.ts";
import { assemble } from "./assemble.ts";
import type { Config } from "./config.ts";
import { FailureReports } from "./reports.ts";

export interface Running {
  readonly app: ReturnType<typeof createApp>;
  readonly service: Service;
}

export interface AppExtras {
  readonly egress?: Partial<EgressOptions> | undefined;
  /** Keys that are not in the store, by their secret. */
  readonly keys?: ReadonlyMap<string, Key> | undefined;
  /** Seconds for which a client may take nothing of its answer. */
  readonly sendTimeout?: number | undefined;
  /** Told of failures that are ours. */
  readonly report: (text: string) => void;
}

/** The whole service, for as long as `body` runs. */
export async function withService<T>(
  config: Config,
  extras: AppExtras,
  body: (running: Running) => Promise<T>,
): Promise<T> {
  const held = new HeldBytes(config.maxHeldBytes ?? defaultHeldBytes);
  const { fetcher, proxies, signer } = assemble(config, extras.egress, held);
  const failures = new FailureReports(extras.report);
  const onTrouble = (error: unknown): void => {
    extras.report(`the ledger cannot be written: ${nameOf(error)}`);
  };
  const open = (outputs: Outputs): Promise<T> =>
    withStore({ url: config.store, onTrouble }, async (store) => {
      const { maxRunning, processes } = config;
      const service = new Service({
        fetcher,
        store,
        outputs,
        proxies,
        keys: extras.keys,
        maxRunning,
        processes,
      });
      const app = createApp({
        service,
        rendersNever: config.render === "never",
        queryKeys: config.queryKeys,
        publicUrl: config.publicUrl,
        sendClaim: config.claimCommand && claimBy(config.claimCommand),
        directory: signer?.directory,
        sendTimeout: extras.sendTimeout,
        bot: { contact: config.publicUrl, ...config.identity },
        onError: (error, id) => failures.add(nameOf(error), id),
      });
      return await body({ app, service });
    });
  return await use(failures, () => use(fetcher, () => use(createOutputs(), open)));
}

/** Names of errors only: a message may hold a URL with a password in it. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? error.name : `${error.name} (${code})`;
}

/** Waits until the command has ended. Cancelled, it ends the command and waits until that is gone. */
function claimBy([program = "", ...args]: readonly string[]) {
  return async (address: string, link: string): Promise<void> => {
    // Not by a shell: the address is somebody else's text. Its output may hold the link.
    const options = { seconds: 30, stdout: "ignore", stderr: "ignore" } as const;
    await asyncio.runProcess(program, [...args, address, link], options);
  };
}
