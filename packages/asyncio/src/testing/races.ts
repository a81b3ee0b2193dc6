/**
 * Races on shared state. JavaScript has no data races, but plenty of these:
 *
 *     const before = account.balance;        // task A reads
 *     await audit(account);                  //                  task B reads 100, writes 150
 *     account.balance = before + 10;         // task A writes 110: B's change is lost
 *
 * A `cell` or a `tracked` object tells of each access whose it is and in which step. A lost update
 * is a write by a task whose last read of the same key was in an earlier step, with a write of
 * another task in between. A torn read is a step that saw one key after a task had written it, and
 * another key that the same task only wrote later, in another step.
 *
 * Who is told apart? Tasks. Branches of one task (a bare Promise.all) look like one.
 */

import {
  advice,
  argumentError,
  checkCoroutine,
  checkOptions,
  checkText,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import { nameOfFlow } from "./decider.ts";

/** Where in the program something happened; empty if it is not known. */
export type Site = string;

interface Access {
  readonly flow: object;
  readonly step: number;
  /** Its place among all accesses. */
  readonly order: number;
  readonly site: Site;
}

interface Update extends Access {
  readonly key: unknown;
}

/** What one step of one task saw of one object. */
interface Look {
  readonly flow: object;
  readonly step: number;
  readonly seen: Map<unknown, Access>;
}

interface Shared {
  readonly name: string;
  /** The last read of each key by each task that has not written it since. */
  readonly reads: Map<unknown, Map<object, Access>>;
  readonly writes: Map<unknown, Access>;
  /** Latest last. */
  readonly looks: Look[];
  /** The writes so far, latest last. */
  readonly updates: Update[];
}

/** More are forgotten, the oldest first. */
const MOST_LOOKS = 64;

/** What the finder asks of the run it watches. */
export interface RaceRun {
  /** How many steps have begun: the number of the one that runs. */
  readonly steps: number;
  /** Where the code is that called the library, if this run keeps such things. */
  site(): Site;
  /** Shows an access in the table of the steps. */
  note(text: string, site: Site): void;
}

/** Finds the races of one run. */
export class RaceFinder {
  /** Each in words. */
  readonly found: Set<string> = new Set();
  readonly #run: RaceRun;
  readonly #shared: Map<object, Shared> = new Map();
  #order = 0;

  constructor(run: RaceRun) {
    this.#run = run;
  }

  read(owner: object, name: string, key: unknown, isWhole: () => boolean): void {
    const shared = this.#sharedOf(owner, name);
    const access = this.#access();
    readsOf(shared, key).set(access.flow, access);
    if (isWhole()) return;
    const last = shared.looks.at(-1);
    let look = last?.flow === access.flow && last.step === access.step ? last : undefined;
    if (look === undefined) {
      look = { flow: access.flow, step: access.step, seen: new Map() };
      shared.looks.push(look);
      if (shared.looks.length > MOST_LOOKS) shared.looks.shift();
    }
    if (!look.seen.has(key)) look.seen.set(key, access);
  }

  write(owner: object, name: string, key: unknown): void {
    const shared = this.#sharedOf(owner, name);
    const access = this.#access();
    this.#findLostUpdate(shared, key, access);
    this.#findTornRead(shared, key, access);
    shared.reads.get(key)?.delete(access.flow);
    shared.writes.set(key, access);
    shared.updates.push({ ...access, key });
    if (shared.updates.length > MOST_LOOKS) shared.updates.shift();
  }

  /** Shows an access in the table. */
  note(text: string): void {
    this.#run.note(text, this.#run.site());
  }

  #findLostUpdate(shared: Shared, key: unknown, write: Access): void {
    const read = shared.reads.get(key)?.get(write.flow);
    const other = shared.writes.get(key);
    if (read === undefined || other === undefined || read.step === write.step) return;
    if (other.flow === write.flow || other.order < read.order) return;
    const [mine, theirs] = [quote(nameOfFlow(write.flow)), quote(nameOfFlow(other.flow))];
    this.#report(`lost update on ${labelOf(shared, key)}:`, [
      `${mine} read it${at(read)}`,
      `${theirs} wrote it${at(other)}`,
      `${mine} wrote over that${at(write)}`,
      "Read and write it in one step, or hold a lock from the one to the other",
    ]);
  }

  #findTornRead(shared: Shared, key: unknown, write: Access): void {
    for (const look of shared.looks) {
      const seen = look.seen.get(key);
      if (seen === undefined || look.flow === write.flow) continue;
      const earlier = shared.updates.find(
        (update) =>
          update.flow === write.flow &&
          update.key !== key &&
          update.step < write.step &&
          (look.seen.get(update.key)?.order ?? -1) > update.order,
      );
      if (earlier === undefined || isStale(shared, key, seen, write)) continue;
      const [reader, writer] = [quote(nameOfFlow(look.flow)), quote(nameOfFlow(write.flow))];
      this.#report(`torn read of ${shared.name}:`, [
        `${writer} wrote ${labelOf(shared, earlier.key)}${at(earlier)}`,
        `${reader} read ${labelOf(shared, earlier.key)} and ${labelOf(shared, key)}${at(seen)}`,
        `${writer} wrote ${labelOf(shared, key)}${at(write)}, in a later step`,
        "Change them in one step, or hold a lock for both",
      ]);
    }
  }

  #report(title: string, lines: readonly string[]): void {
    this.found.add([title, ...lines].join("\n  "));
  }

  #sharedOf(owner: object, name: string): Shared {
    let shared = this.#shared.get(owner);
    if (shared === undefined) {
      shared = { name, reads: new Map(), writes: new Map(), looks: [], updates: [] };
      this.#shared.set(owner, shared);
    }
    return shared;
  }

  #access(): Access {
    const scope = here();
    const site = this.#run.site();
    return { flow: scope.task ?? scope, step: this.#run.steps, order: this.#order++, site };
  }
}

function readsOf(shared: Shared, key: unknown): Map<object, Access> {
  let reads = shared.reads.get(key);
  if (reads === undefined) {
    reads = new Map();
    shared.reads.set(key, reads);
  }
  return reads;
}

/**
 * Whether what was seen of `key` had been written again before `write`: then it was not this write
 * that was missing.
 */
function isStale(shared: Shared, key: unknown, seen: Access, write: Access): boolean {
  return shared.updates.some(
    (update) => update.key === key && update.order > seen.order && update.order < write.order,
  );
}

function labelOf(shared: Shared, key: unknown): string {
  return key === VALUE ? shared.name : `${shared.name}.${showKey(key)}`;
}

function at({ site, step }: Access): string {
  return site === "" ? ` in step ${step}` : ` at ${site}`;
}

function quote(name: string): string {
  return JSON.stringify(name);
}

function finderHere(): RaceFinder | undefined {
  return (here().loop.host as { readonly races?: RaceFinder }).races; // a Trial has one
}

/** Plain values are shown, others only named. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function showKey(key: unknown): string {
  return typeof key === "symbol" || typeof key === "string" ? String(key) : show(key);
}

/** The only key of a cell. */
const VALUE: unique symbol = Symbol("value");
const never = (): boolean => true;

/**
 * A value that tasks share. Made by `cell`.
 *
 * @example
 * await testing.runTest(async () => {
 *   const total: testing.Cell<number> = testing.cell(1, "total");
 *   total.value += 1;
 *   assert.deepEqual([total.name, total.value], ["total", 2]);
 * });
 */
export class Cell<T> {
  /** What reports call it. */
  readonly name: string;
  #value: T;

  /** @internal */
  constructor(value: T, name: string) {
    this.#value = value;
    this.name = name;
  }

  /** The value. Reading and writing it is watched. */
  get value(): T {
    const finder = finderHere();
    if (finder !== undefined) {
      finder.read(this, this.name, VALUE, never);
      finder.note(`reads ${this.name} = ${show(this.#value)}`);
    }
    return this.#value;
  }

  set value(value: T) {
    const finder = finderHere();
    this.#value = value;
    if (finder === undefined) return;
    finder.write(this, this.name, VALUE);
    finder.note(`writes ${this.name} = ${show(value)}`);
  }
}

/**
 * A value whose reads and writes are watched in `runTest`, `explore` and the sweeps. Suppose a task
 * reads the value, another task replaces it, and then the first one writes what it has computed
 * from the old value. Then the test fails with a RaceError, even if the outcome happens to be
 * right. Outside of tests it is a plain holder of `value`. Reports call it `name`.
 *
 * @example
 * const report = await testing.explore(async () => {
 *   const balance = testing.cell(100, "balance");
 *   const deposit = async (amount: number) => {
 *     await asyncio.sleep(0.01);
 *     balance.value += amount; // read and written in one step
 *   };
 *   await asyncio.gather(() => deposit(10), () => deposit(20));
 *   assert.equal(balance.value, 130);
 * });
 * assert.ok(report.schedules > 1);
 */
export function cell<T>(value: T, name = "a cell"): Cell<T> {
  checkText("`cell`", "a name", name);
  return new Cell(value, name);
}

/** What `tracked` takes. */
export interface TrackedOptions<T> {
  /** What reports call it. @default "an object" */
  readonly name?: string | undefined;
  /**
   * A condition that always holds outside of an update. Reading the object half updated is a torn
   * read only if the condition is false at that time.
   */
  readonly invariant?: ((object: T) => boolean) | undefined;
}

const TRACKED: Names<TrackedOptions<unknown>> = { name: "string", invariant: 1 };

/**
 * `target` behind a proxy that watches its properties, each as a `cell`, and reports torn reads as
 * well: one task changes two of them in two steps, and another one sees the first change without
 * the second. Of a Map or a Set the entries are watched. Nested objects are not; a class with
 * private fields (`#`) cannot be: put cells in it.
 */
export function tracked<T extends object>(target: T, options: TrackedOptions<T> = {}): T {
  if (typeof target !== "object" || target === null)
    throw argumentError(
      "`tracked`",
      "an object",
      target,
      advice("For a single value there is `cell`"),
    );
  checkOptions("`tracked`", options, TRACKED);
  const { name = "an object", invariant } = options;
  if (invariant !== undefined) checkCoroutine("`tracked`", invariant);
  const isWhole = (): boolean => invariant?.(target) ?? false;
  if (target instanceof Map || target instanceof Set)
    return trackedCollection(target, name, isWhole);
  const proxy: T = new Proxy(target, {
    get(object, key, receiver) {
      const value: unknown = Reflect.get(object, key, receiver);
      const finder = finderHere();
      if (typeof value === "function" || finder === undefined) return value;
      finder.read(object, name, key, isWhole);
      finder.note(`reads ${name}.${String(key)} = ${show(value)}`);
      return value;
    },
    set(object, key, value, receiver) {
      // Of something that has inherited from it, and keeps the value for itself.
      if (receiver !== proxy) return Reflect.set(object, key, value, receiver);
      // Defined on the object, not on the proxy: else this would be told twice.
      const isSet = Reflect.set(object, key, value);
      const finder = finderHere();
      finder?.write(object, name, key);
      finder?.note(`writes ${name}.${String(key)} = ${show(value)}`);
      return isSet;
    },
    deleteProperty(object, key) {
      finderHere()?.write(object, name, key);
      return Reflect.deleteProperty(object, key);
    },
  });
  return proxy;
}

/** The methods of Map and Set that are about one key. */
const READS: ReadonlySet<unknown> = new Set(["get", "has"]);
const WRITES: ReadonlySet<unknown> = new Set(["set", "add", "delete"]);

function trackedCollection<T extends object>(target: T, name: string, isWhole: () => boolean): T {
  const methods = new Map<unknown, unknown>();
  const methodOf = (method: unknown): unknown => {
    const original = Reflect.get(target, method as string) as (...args: unknown[]) => unknown;
    return (...args: unknown[]): unknown => {
      const [key, value] = args;
      const finder = finderHere();
      if (finder !== undefined && READS.has(method)) finder.read(target, name, key, isWhole);
      const result = original.apply(target, args);
      if (finder !== undefined && WRITES.has(method)) {
        finder.write(target, name, key);
        const what = method === "set" ? `writes ${name}.${show(key)} = ${show(value)}` : undefined;
        finder.note(what ?? `${method === "add" ? "adds" : "deletes"} ${name}.${show(key)}`);
      } else if (READS.has(method)) finder?.note(`reads ${name}.${show(key)} = ${show(result)}`);
      return result === target ? proxy : result;
    };
  };
  // They work on the collection itself only, not on a proxy.
  const proxy: T = new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== "function") return value;
      let method = methods.get(key);
      if (method === undefined) {
        method = READS.has(key) || WRITES.has(key) ? methodOf(key) : value.bind(object);
        methods.set(key, method);
      }
      return method;
    },
  });
  return proxy;
}
