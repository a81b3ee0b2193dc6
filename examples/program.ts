// For the tests: a program in a process of its own, whose output is read line by line.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export class Program {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<[number | null, NodeJS.Signals | null]>;
  #stderr = "";

  /** Starts `path`, which is relative to this folder. */
  constructor(path: string, ...args: string[]);
  /** The same, with more in its environment. */
  constructor(env: Readonly<Record<string, string>>, path: string, ...args: string[]);
  constructor(first: string | Readonly<Record<string, string>>, ...rest: string[]) {
    const more = typeof first === "string" ? {} : first;
    const [path = "", ...args] = typeof first === "string" ? [first, ...rest] : rest;
    const file = fileURLToPath(new URL(path, import.meta.url));
    const { ASYNCIO_DEBUG: _, NODE_OPTIONS: __, ...env } = process.env;
    const child = spawn(process.execPath, [file, ...args], {
      env: { ...env, ...more },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 600_000, // for a program that hangs, and not for a slow machine
      killSignal: "SIGKILL",
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  }

  /** The next line that it prints; empty when it prints no more. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    return done === true ? "" : value;
  }

  /** Waits until it prints where it listens. */
  async port(): Promise<number> {
    const line = await this.line();
    const [, port] = /:(\d+)$/.exec(line) ?? [];
    if (port === undefined) throw new Error(`expected an address, got ${line}${this.#stderr}`);
    return Number(port);
  }

  async end(signal?: NodeJS.Signals): Promise<Ending> {
    if (signal !== undefined) this.child.kill(signal);
    const [code, killedBy] = await this.#ended;
    return { code, signal: killedBy, stderr: this.#stderr };
  }
}
