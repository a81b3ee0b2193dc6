// What the tests of executors run in workers.

import { writeSync } from "node:fs";
import { ExceptionGroup, sleep, TimeoutError, timeLeft } from "../../src/index.ts";
import {
  checkCancelled,
  currentJob,
  progress,
  sharedContextVar,
  transfer,
} from "../../src/worker.ts";

export const trace = sharedContextVar("trace", { default: "none" });

let isPrepared = false;
let calls = 0;

export const add = (a: number, b: number): number => a + b;
export const same = <T>(value: T): T => value;
export const readTrace = async (): Promise<string> => sleep(0, trace.get());
export const job = (): { id: string; attempt: number } => currentJob();
export const left = (): number => timeLeft();
export const countCalls = (): number => ++calls;
export const notAFunction = 5;
export const nap = (seconds: number): Promise<void> => sleep(seconds);
export const pushOne = (list: number[]): number => list.push(1);
export const pid = (): number => process.pid;

export function prepare(): void {
  isPrepared = true;
}

export function wasPrepared(): boolean {
  return isPrepared;
}

export function refuse(): never {
  throw new RangeError("not on this machine");
}

// --- jobs that do not end by themselves; `at` is shared memory that tells how far they have come

export function spin(at: Int32Array): never {
  for (;;) Atomics.add(at, 0, 1);
}

export function spinChecked(at: Int32Array): never {
  try {
    for (;;) {
      Atomics.add(at, 0, 1);
      checkCancelled();
    }
  } finally {
    Atomics.store(at, 1, 1);
  }
}

export function spinInFinally(at: Int32Array): void {
  try {
    spin(at);
  } finally {
    for (;;);
  }
}

/** Hears of the cancellation again and again, and goes on. */
export function spinDeaf(at: Int32Array): never {
  for (;;) {
    Atomics.add(at, 0, 1);
    try {
      checkCancelled();
    } catch {}
  }
}

/** Calls back again and again, also when it was cancelled. */
export function callDeaf(at: Int32Array, call: () => void): never {
  for (;;) {
    Atomics.add(at, 0, 1);
    try {
      call();
    } catch {}
  }
}

/** Catastrophic for a text of many a's and a b. */
export function backtrack(at: Int32Array): boolean {
  Atomics.store(at, 0, 1);
  return /^(a+)+$/.test(`${"a".repeat(60)}b`);
}

export function blocked(at: Int32Array): void {
  Atomics.store(at, 0, 1);
  Atomics.wait(at, 2, 0);
}

/** Sleeps until it is woken, and then calls back: `at[1]` is 1 if that was refused. */
export async function askWhenWoken(at: Int32Array, ask: () => Promise<void>): Promise<string> {
  blocked(at);
  await ask().catch(() => Atomics.store(at, 1, 1));
  return "late";
}

export function spinInWasm(at: Int32Array): void {
  // (module (func (export "spin") (loop (br 0))))
  const bytes = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 115, 112, 105, 110, 0,
    0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11,
  ];
  const { instance } = new WebAssembly_(new Uint8Array(bytes));
  Atomics.store(at, 0, 1);
  instance();
}

/** Synchronously made, and without the types of the DOM. */
class WebAssembly_ {
  readonly instance: () => void;

  constructor(bytes: Uint8Array) {
    const { WebAssembly } = globalThis as unknown as {
      WebAssembly: {
        Module: new (bytes: Uint8Array) => object;
        Instance: new (module: object) => { exports: { spin(): void } };
      };
    };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    this.instance = () => exports.spin();
  }
}

export async function sleepAndSay(at: Int32Array): Promise<void> {
  Atomics.store(at, 0, 1);
  try {
    await sleep(3600);
  } finally {
    Atomics.store(at, 1, 1);
  }
}

export async function swallow(at: Int32Array): Promise<void> {
  Atomics.store(at, 0, 1);
  for (;;) await new Promise((resolve) => setTimeout(resolve, 1));
}

export function native(at: Int32Array, megabytes: number): number {
  const text = `[${"1,".repeat(megabytes * 500_000)}1]`;
  Atomics.store(at, 0, 1);
  return (JSON.parse(text) as number[]).length;
}

export async function valueInTheLastMoment(at: Int32Array): Promise<string> {
  Atomics.store(at, 0, 1);
  try {
    await sleep(3600);
  } catch {
    // it has an answer all the same
  }
  return "value";
}

/** Say that they have begun by `progress`, which processes can, too. */
export async function answerLate(): Promise<string> {
  progress("begun");
  return await valueInTheLastMoment(new Int32Array(4));
}

export async function swallowAll(): Promise<void> {
  progress("begun");
  await swallow(new Int32Array(4));
}

export function spinAndSay(): never {
  progress("begun");
  return spin(new Int32Array(4));
}

export function parse(megabytes: number): number {
  progress("begun");
  return native(new Int32Array(4), megabytes);
}

// --- ends of workers

export const exit = (code: number): void => process.exit(code);
export const kill = (signal: NodeJS.Signals): void => void process.kill(process.pid, signal);

export async function uncaughtLater(): Promise<never> {
  setTimeout(() => {
    throw new Error("thrown by a timer");
  }, 1);
  return await new Promise(() => {});
}

export async function rejectUnseen(): Promise<never> {
  void Promise.reject(new Error("seen by nobody"));
  return await new Promise(() => {});
}

export function fillMemory(): number {
  const all: number[][] = [];
  for (;;) all.push(new Array(1000).fill(all.length));
}

// --- values and errors

export class OwnError extends TypeError {
  override readonly name = "OwnError";
  readonly code = "E_OWN";
  readonly details = { line: 7 };
}

export function fail(): never {
  throw new OwnError("own", { cause: new Error("why", { cause: "because" }) });
}

export function failInCircle(): never {
  const first = new Error("first");
  const second = new Error("second", { cause: first });
  first.cause = second;
  throw first;
}

export function failInGroup(): never {
  throw new ExceptionGroup("several", [new TimeoutError("late"), new RangeError("far")]);
}

export function failUnsendably(): never {
  throw Object.assign(new Error("with a function"), { port: 80, close: () => {} });
}

export function throwFunction(): never {
  throw { close: () => {} };
}

export function unsendable(): unknown {
  return { items: [1, { close: () => {} }] };
}

export function badGetter(): unknown {
  return {
    get secret() {
      throw new Error("not for you");
    },
  };
}

export function giveBuffer(bytes: number): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes);
  return transfer({ buffer }, [buffer]).buffer;
}

export function givePair(bytes: number): { data: Uint8Array } {
  const data = new Uint8Array(bytes).fill(7);
  return transfer({ data }, [data.buffer]);
}

// --- talking to the caller

export function steps(count: number): string {
  for (let step = 1; step <= count; step++) progress({ step });
  return "done";
}

export async function ask(question: (n: number) => Promise<number>): Promise<number> {
  return (await question(20)) + 1;
}

export function askSync(question: (n: number) => number): number {
  return question(20) + 1;
}

export async function askDeep(options: { on: [{ ask: (n: number) => Promise<number> }] }) {
  return await options.on[0].ask(1);
}

export async function askAndLeave(
  question: () => Promise<void>,
  hasBegun: () => Promise<void>,
): Promise<string> {
  const { createTask } = await import("../../src/index.ts");
  const asking = createTask(question);
  await hasBegun();
  asking.cancel();
  await asking.catch(() => {});
  return asking.cancelled() ? "left" : "stayed";
}

let streamsEnded = 0;
export const countStreamsEnded = (): number => streamsEnded;

export function* numbers(count: number, at: Int32Array): Generator<number> {
  try {
    for (let n = 0; n < count; n++) {
      Atomics.store(at, 0, n + 1);
      yield n;
    }
  } finally {
    Atomics.store(at, 1, 1);
    streamsEnded++;
  }
}

export async function* failAt(place: number): AsyncGenerator<number> {
  for (let n = 0; n < place; n++) yield await sleep(0, n);
  throw new Error(`at ${place}`);
}

export async function leaveTasks(at: Int32Array): Promise<void> {
  const { createTask } = await import("../../src/index.ts");
  createTask(async () => {
    try {
      await sleep(3600);
    } finally {
      Atomics.store(at, 1, 1);
    }
  });
}

export async function sendGarbage(): Promise<string> {
  const { parentPort, workerData } = await import("node:worker_threads");
  const { port } = workerData as { port: { postMessage(value: unknown): void } };
  for (const garbage of [
    "garbage",
    null,
    [],
    [0],
    [0, "1", 2],
    [99, 1],
    [1, 1, 1, null],
    [1, 999, 1, { thrown: { error: 0 }, records: [{ own: 5 }] }],
    [3, 12345],
    [6, 1, 1, 999, {}],
    { __proto__: null, length: 3 },
  ]) {
    port.postMessage(garbage);
    parentPort?.postMessage(garbage);
  }
  return "still here";
}

/** Into the pipe that the thread of a process sends its results by. */
export function writeGarbage(): void {
  writeSync(5, Buffer.alloc(1000, 7));
}

export const call = async (fn: () => Promise<unknown>): Promise<boolean> => (await fn()) !== null;
