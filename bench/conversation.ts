// A program that is talked to: it prints one line of JSON when it is ready, and one for each line
// it is sent. It ends when its input does.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { trackProgram } from "./program.ts";

/** A program that does not answer for so long hangs. */
const longestMs = 120_000;

export class Conversation implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(file: string, args: readonly string[]) {
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    trackProgram(child);
    child.stdin.on("error", () => {}); // it has ended, and `answer` says so
    this.#child = child;
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it prints. */
  async answer(): Promise<unknown> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), longestMs);
    const { value, done } = await this.#answers.next();
    clearTimeout(timer);
    if (done === true) throw new Error(`${this.#child.spawnargs.join(" ")} has ended early`);
    return JSON.parse(value);
  }

  async ask(line: string): Promise<unknown> {
    this.#child.stdin?.write(`${line}\n`);
    return await this.answer();
  }

  /** Ends it, and waits until it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }
}
