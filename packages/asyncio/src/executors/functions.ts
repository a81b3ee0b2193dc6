/**
 * The functions of a pool have numbers. A worker is told once what a number stands for, and loads
 * the module when a job needs it.
 */

import { loadFunction } from "./modules.ts";
import type { Definition } from "./protocol.ts";
import type { FunctionName } from "./sendable.ts";

export type AnyCall = (...args: readonly unknown[]) => unknown;

/** As the pool knows them. */
export class Functions {
  readonly #numbers: Map<string, number> = new Map();

  numberOf({ key }: FunctionName): number {
    const number = this.#numbers.get(key) ?? this.#numbers.size;
    if (number === this.#numbers.size) this.#numbers.set(key, number);
    return number;
  }

  define(fn: FunctionName): Definition {
    return [this.numberOf(fn), fn.url, fn.name];
  }
}

/** As a worker knows them. */
export class LoadedFunctions {
  readonly #functions: Map<number, AnyCall | { url: string; name: string }> = new Map();

  define(definitions: readonly Definition[]): void {
    for (const [number, url, name] of definitions) this.#functions.set(number, { url, name });
  }

  /** The function, or a promise of it while its module has to be loaded. */
  get(number: number): AnyCall | Promise<AnyCall> {
    const known = this.#functions.get(number);
    if (typeof known === "function") return known;
    return this.#load(number, known as { url: string; name: string }); // defined with its first job
  }

  async #load(number: number, { url, name }: { url: string; name: string }): Promise<AnyCall> {
    const loaded = await loadFunction(url, name);
    this.#functions.set(number, loaded);
    return loaded;
  }
}
