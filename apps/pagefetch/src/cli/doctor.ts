/** Whether this machine has what the service needs, line by line. */

import { lookup } from "node:dns/promises";
import { createServer } from "node:net";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { use } from "../contract/use.ts";
import { createOutputs } from "../outputs/outputs.ts";
import { withStore } from "../store/store.ts";
import { assemble } from "./assemble.ts";
import type { Config } from "./config.ts";

type Check = readonly [what: string, look: () => Promise<string>];

/** 0 if all is well, 1 if something that is needed is missing. */
export async function examine(
  config: Config,
  print: (line: string) => Promise<void>,
): Promise<number> {
  const checks: readonly Check[] = [
    ["Node", async () => node()],
    ["configuration", async () => configuration(config)],
    ["store", async () => await store(config)],
    ["port", async () => await port(config)],
    ["workers", async () => await workers()],
  ];
  let failed = 0;
  for (const [what, look] of checks) {
    try {
      await print(`ok    ${what}: ${await asyncio.timeout(20, look)}`);
    } catch (error) {
      if (error instanceof asyncio.CancelledError) throw error;
      failed++;
      await print(`FAIL  ${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  // A machine without the internet can still fetch from what it is allowed to.
  const names = await asyncio.moveOnAfter(5, () => lookup("example.com").catch(() => undefined));
  await print(
    names.cancelled || names.value === undefined
      ? "note  names: example.com is not found from here"
      : "ok    names",
  );
  await print(company(config));
  return failed === 0 ? 0 : 1;
}

/** What a service in several processes has to know. */
function company({ processes = 1, store: url }: Config): string {
  if (processes > 1) {
    return `ok    processes: one of ${processes} that have the same store, and takes its share of each pace and rate`;
  }
  const alone = "ok    processes: this one alone keeps to the pace of a site";
  return url === undefined ? alone : `${alone}; say in \`processes\` how many have this store`;
}

function node(): string {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return process.version;
  throw new Error(`${process.version}; 22.19 or newer is needed`);
}

function configuration(config: Config): string {
  const { proxies, fetcher, signer } = assemble(config);
  fetcher.close();
  return `${proxies.list().length} proxies, requests ${signer === undefined ? "not signed" : "signed"}`;
}

async function store({ store: url }: Config): Promise<string> {
  return await withStore({ url }, async ({ engine, keys }) => {
    const where = url === undefined ? ", in memory: nothing is kept" : "";
    return `${engine}${where}, ${(await keys.list()).length} keys`;
  });
}

async function port({ host = "127.0.0.1", port: wanted = 8080 }: Config): Promise<string> {
  const server = createServer().listen(wanted, host);
  try {
    await once(server, "listening");
    return `${host}:${wanted} is free`;
  } finally {
    server.close();
  }
}

async function workers(): Promise<string> {
  await use(createOutputs({ maxWorkers: 1 }), (outputs) => outputs.text("<p>a</p>"));
  return "a page was parsed in a process of its own";
}
