/** The modules of jobs, where they run: loaded once, by their addresses. */

import { headline } from "../errors/render.ts";
import { WorkerModuleError } from "./errors.ts";

type Namespace = Readonly<Record<string, unknown>>;

const loaded: Map<string, Promise<Namespace>> = new Map();
const namespaces: Map<string, Namespace> = new Map();

/** Loads a module. One that has failed is tried again the next time. */
export function loadModule(url: string): Promise<Namespace> {
  const known = loaded.get(url);
  if (known !== undefined) return known;
  const loading = (import(url) as Promise<Namespace>).then(
    (namespace) => {
      namespaces.set(url, namespace);
      return namespace;
    },
    (cause: unknown) => {
      loaded.delete(url);
      const message = `${url} does not load: ${headline(cause)}${cureOf(cause)}`;
      throw new WorkerModuleError(url, message, { cause });
    },
  );
  loaded.set(url, loading);
  return loading;
}

/** The function, if its module is loaded and has it. */
export function loadedFunction(url: string, name: string): unknown {
  const namespace = namespaces.get(url);
  return namespace === undefined ? undefined : exportOf(namespace, name);
}

/** @throws WorkerModuleError if the module does not load, or has no such function. */
export async function loadFunction(
  url: string,
  name: string,
): Promise<(...args: readonly unknown[]) => unknown> {
  const namespace = await loadModule(url);
  const found = exportOf(namespace, name);
  if (typeof found === "function") return found as (...args: readonly unknown[]) => unknown;
  const names = Object.keys(namespace).filter((one) => typeof namespace[one] === "function");
  const what = found === undefined ? "no export" : "no function";
  const has =
    names.length === 0 ? "It exports no function" : `It has ${names.slice(0, 20).join(", ")}`;
  throw new WorkerModuleError(url, `${url} has ${what} ${JSON.stringify(name)}. ${has}`);
}

function exportOf(namespace: Namespace, name: string): unknown {
  return Object.hasOwn(namespace, name) ? namespace[name] : undefined;
}

function cureOf(cause: unknown): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const text = String(message);
  if (code === "ERR_UNKNOWN_FILE_EXTENSION")
    return ". This version of Node does not run TypeScript: use Node 22.18 or newer, or give the compiled file";
  if (code === "ERR_MODULE_NOT_FOUND" || /cannot find module|not found/i.test(text))
    return ". If the program was bundled, make the worker's module an entry of its own, so that its file is there";
  return "";
}
