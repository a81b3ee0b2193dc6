/**
 * Functions by name: the address of a module and the name of an export. That can go to a worker,
 * where a closure cannot. Nothing is loaded here.
 */

import {
  advice,
  argumentError,
  checkCount,
  checkOptions,
  checkSeconds,
  InvalidStateError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";

/** Any function, as a type to infer from. */
export type AnyFunction = (...args: never[]) => unknown;

/** What can be moved to a worker instead of being copied. */
export type Movable = ArrayBuffer | object;

/** How the calls of a function are treated. */
export interface CallOptions {
  /** Moved there and not copied: the caller cannot use them any more. Processes copy. */
  readonly transfer?: readonly Movable[] | undefined;
  /**
   * What becomes of a job that was cancelled and does not end: `keep` interrupts it and keeps its
   * worker, with the state of its modules as the job has left it; `replace` ends the worker; `wait`
   * waits for ever. Where a job cannot be interrupted, `keep` is `replace`. @default "replace"
   */
  readonly stop?: "keep" | "replace" | "wait" | undefined;
  /** Seconds that a cancelled job has to end by itself. @default 1 */
  readonly stopDelay?: number | undefined;
  /** It may run twice: if its worker is lost, it is tried again. @default false */
  readonly idempotent?: boolean | undefined;
  /** How often an idempotent job is tried. @default 3 */
  readonly attempts?: number | undefined;
}
const KNOWN: Names<CallOptions> = {
  transfer: 1,
  stop: 1,
  stopDelay: 1,
  idempotent: "boolean",
  attempts: 1,
};

/** The options with their defaults. */
export interface CallSettings {
  readonly transfer: readonly Movable[];
  readonly stop: "keep" | "replace" | "wait";
  readonly stopDelay: number;
  readonly attempts: number;
}
const DEFAULTS: CallSettings = { transfer: [], stop: "replace", stopDelay: 1, attempts: 1 };

/** The name of a function in a module: what an executor takes. */
export interface Sendable<F extends AnyFunction> {
  /** The name of the export. */
  readonly name: string;
  /** The type of the function; never there at run time. */
  readonly signature?: F;
  /** The same function, whose calls are treated as `options` say. */
  with(options: CallOptions): Sendable<F>;
}

/** The functions among the exports of a module. */
export type Functions<M> = {
  readonly [K in keyof M as M[K] extends AnyFunction ? K : never]: Sendable<
    Extract<M[K], AnyFunction>
  >;
};

/** What a Sendable knows of itself. */
export class FunctionName implements Sendable<AnyFunction> {
  readonly url: string;
  readonly name: string;
  readonly settings: CallSettings;

  /** The same for all that stand for the same function. */
  readonly key: string;

  constructor(url: string, name: string, settings: CallSettings = DEFAULTS) {
    this.url = url;
    this.name = name;
    this.settings = settings;
    this.key = `${url}#${name}`;
  }

  with(options: CallOptions): FunctionName {
    return new FunctionName(this.url, this.name, settingsOf(this.settings, options));
  }

  toString(): string {
    return `${this.name} of ${this.url}`;
  }
}

function settingsOf(before: CallSettings, options: CallOptions): CallSettings {
  const api = "`with`";
  if (options === undefined) throw argumentError(api, "an object of options", options);
  checkOptions(api, options, KNOWN);
  const { transfer = before.transfer, stop = before.stop, stopDelay = before.stopDelay } = options;
  const { attempts: wanted = options.idempotent === true ? 3 : before.attempts } = options;
  const attempts = options.idempotent === false ? 1 : wanted;
  if (!Array.isArray(transfer)) throw argumentError(api, "`transfer` as an array", transfer);
  if (!["keep", "replace", "wait"].includes(stop))
    throw argumentError(api, '`stop` as "keep", "replace" or "wait"', stop);
  checkSeconds(api, "`stopDelay` in seconds", stopDelay);
  checkCount(api, "`attempts`", attempts);
  if (attempts > 1 && transfer.length > 0)
    throw new InvalidStateError(
      `\`with\` cannot combine \`transfer\` with \`idempotent\`: what was moved away is not there for another attempt${advice("Leave `transfer` out")}`,
    );
  return { transfer, stop, stopDelay, attempts };
}

const modules: WeakMap<object, string> = new WeakMap();

/** The address of what `module` gave; undefined if it is something else. */
export function addressOf(functions: unknown): string | undefined {
  return typeof functions === "object" && functions !== null ? modules.get(functions) : undefined;
}

/**
 * The functions of the module at `url`, by name: `work.hash` stands for its export `hash`, and can
 * be given to an executor. Nothing is loaded here; workers load the module when they first need it.
 * The module needs no preparation, so packages and modules of the host can be used, too. `url` is a
 * URL (`new URL("./work.ts", import.meta.url)`), the text of one (`import.meta.resolve("pkg")`,
 * `"node:zlib"`), or an absolute path.
 *
 * @example
 * import { module, toThread } from "asyncio-ts/executors";
 * const crypto = module<typeof import("node:crypto")>("node:crypto");
 * const key = await toThread(crypto.pbkdf2Sync, "secret", "salt", 1000, 32, "sha256");
 * assert.equal(key.length, 32);
 */
export function module<M>(url: URL | string): Functions<M> {
  const address = checkedAddress(url);
  const names = new Map<string, FunctionName>();
  const functions = new Proxy(Object.create(null) as object, {
    get(_target, name) {
      if (typeof name !== "string" || name === "then") return undefined; // `await work` is not a call
      const known = names.get(name) ?? new FunctionName(address, name);
      names.set(name, known);
      return known;
    },
    set: () => false,
  });
  modules.set(functions, address);
  return functions as Functions<M>; // every name is answered; the worker says which do not exist
}

function checkedAddress(url: unknown): string {
  const api = "`module`";
  const expected = "the URL of a file, an absolute path or a module of the host";
  if (typeof url !== "string" && !(url instanceof URL))
    throw argumentError(
      api,
      expected,
      url,
      advice('Write `new URL("./work.ts", import.meta.url)`'),
    );
  const text = String(url);
  if (/^(?:file|node|bun|npm|jsr):/.test(text)) return text;
  if (text.startsWith("/") || /^[a-z]:[\\/]/i.test(text))
    return process.getBuiltinModule("node:url").pathToFileURL(text).href;
  if (/^\.\.?[\\/]/.test(text))
    throw argumentError(
      api,
      expected,
      text,
      advice(`Write \`new URL("${text}", import.meta.url)\``),
    );
  if (/^[a-z]+:/i.test(text))
    throw argumentError(
      api,
      expected,
      text,
      advice("Workers load files only: write what is to run there into a file"),
    );
  throw argumentError(api, expected, text, advice(`Write \`import.meta.resolve("${text}")\``));
}

/** @throws TypeError unless `fn` came out of `module`. */
export function checkedFunction(api: string, fn: unknown): FunctionName {
  if (fn instanceof FunctionName) return fn;
  const cure =
    typeof fn === "function"
      ? advice(
          'A closure cannot go to a worker. Export it from a file, and write `const work = module<typeof import("./jobs.ts")>(new URL("./jobs.ts", import.meta.url))` and `work.name`',
        )
      : "";
  throw argumentError(api, "a function of a `module`", fn, cure);
}
