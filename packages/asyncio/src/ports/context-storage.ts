// The `AsyncLocalStorage` of the host, without which the library cannot run. It is asked for at run
// time and not imported: so bundlers need not know it, and where there is none, an error says so.

import { advice } from "../errors/errors.ts";
import { globals, type AsyncHooks as Hooks } from "./globals.ts";

/** Throws where there is none, or one without `enterWith`, as in Cloudflare's workers. */
export function contextHooks(): Pick<Hooks, "AsyncLocalStorage" | "AsyncResource"> {
  try {
    const hooks = globals.process?.getBuiltinModule?.("node:async_hooks");
    if (hooks !== undefined) {
      const probe = new hooks.AsyncLocalStorage<unknown>();
      probe.run(undefined, () => probe.enterWith(undefined));
      probe.disable(); // it would be in each context that follows, and each task copies its own
      return hooks;
    }
  } catch {} // it has the name and not the function
  throw Object.assign(new Error(noHost()), { code: "ERR_ASYNCIO_NO_HOST" });
}

export const contextStorage = (): Hooks["AsyncLocalStorage"] => contextHooks().AsyncLocalStorage;

let inRoot: (<R>(fn: () => R) => R) | undefined;

/** Calls `fn` in the context of the first call, which is made when the library is loaded. */
export function runInRoot<R>(fn: () => R): R {
  inRoot ??= contextStorage().snapshot();
  return inRoot(fn);
}

function noHost(): string {
  const node = globals.process?.versions?.node;
  const found = globals.navigator?.userAgent ?? (node && `Node ${node}`);
  return `asyncio-ts runs on Node 20.19 or newer, Deno 2 and Bun, and not here${found ? ` (${found})` : ""}${advice("Import it only in code that runs on a server")}`;
}
