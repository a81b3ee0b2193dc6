/**
 * Child processes with asyncio's interface. Pipes are streams. The code that has the process waits
 * for it, sends it signals, and ends it. A process that is running when the run ends is ended by
 * the run. Source: asyncio.subprocess (S153 to S159).
 */

import { argumentError, InvalidStateError } from "../errors/errors.ts";
import { NodeStream } from "../streams/node-stream.ts";
import { StreamReader } from "../streams/reader.ts";
import { checkLimit, DEFAULT_LIMIT } from "../streams/separators.ts";
import { StreamWriter } from "../streams/writer.ts";
import { gather } from "../tasks/gather.ts";
import { CancelScope } from "../tasks/timeouts.ts";
import { Child, whenDrained } from "./child.ts";
import { checkInput, feed, type ProcessInput } from "./input.ts";
import { SUBPROCESS, type SubprocessOptions } from "./options.ts";
import { checkProcessOptions, execSpec, shellSpec } from "./spec.ts";

/**
 * `T` if the option says "pipe", undefined if it says something else. Both if the type of the
 * option allows both.
 */
export type Piped<T, S> = [S] extends ["pipe"]
  ? T
  : [Extract<S, "pipe">] extends [never]
    ? undefined
    : T | undefined;

/** A stream whose option is not given is inherited. */
type Option<O, K extends keyof SubprocessOptions> = K extends keyof O ? O[K] : undefined;

/**
 * A child process, running or ended. Made by `createSubprocessExec` and `createSubprocessShell`.
 *
 * @example
 * const child = await asyncio.createSubprocessExec("cat", [], { stdin: "pipe", stdout: "pipe" });
 * const [output] = await child.communicate("hello");
 * assert.equal(new TextDecoder().decode(output), "hello");
 * assert.equal(child.returncode, 0);
 */
export class Process<O extends SubprocessOptions = SubprocessOptions> implements AsyncDisposable {
  /** Its number in the system. */
  readonly pid: number;
  /** Its standard input, if that is a pipe. */
  readonly stdin: Piped<StreamWriter, Option<O, "stdin">>;
  /** Its standard output, if that is a pipe. It can be read also when the process has ended. */
  readonly stdout: Piped<StreamReader, Option<O, "stdout">>;
  /** Its standard error, if that is a pipe. It can be read also when the process has ended. */
  readonly stderr: Piped<StreamReader, Option<O, "stderr">>;
  readonly #child: Child;
  readonly #outputs: readonly NodeStream[];
  readonly #input: NodeStream | undefined;
  readonly #stdin: StreamWriter | undefined;
  readonly #stdout: StreamReader | undefined;
  readonly #stderr: StreamReader | undefined;

  /** @internal */
  constructor(child: Child, limit: number) {
    this.#child = child;
    this.pid = child.pid;
    const { stdin, stdout, stderr } = child.host;
    const describe = (name: string) => (): string => `${name} of ${child.describe()}`;
    const outputs: NodeStream[] = [];
    if (stdin !== null) {
      this.#input = new NodeStream({ writable: stdin, describe: describe("stdin") });
      this.#stdin = new StreamWriter(this.#input);
    }
    const reader = (readable: typeof stdout, name: string): StreamReader | undefined => {
      if (readable === null) return undefined;
      const stream = new NodeStream({ readable, describe: describe(name) });
      outputs.push(stream);
      return new StreamReader(stream, { limit });
    };
    this.#stdout = reader(stdout, "stdout");
    this.#stderr = reader(stderr, "stderr");
    this.#outputs = outputs;
    // They are there if the options say so, which is what the types say.
    this.stdin = this.#stdin as Piped<StreamWriter, Option<O, "stdin">>;
    this.stdout = this.#stdout as Piped<StreamReader, Option<O, "stdout">>;
    this.stderr = this.#stderr as Piped<StreamReader, Option<O, "stderr">>;
  }

  /**
   * Its exit code. Undefined while it runs. If a signal has ended it, the number of the signal,
   * negative.
   */
  get returncode(): number | undefined {
    return this.#child.returncode;
  }

  /**
   * Waits until it has ended and gives its return code. Any number of tasks may wait; cancelling
   * one does not end it.
   */
  wait(): Promise<number> {
    return this.#child.wait();
  }

  /**
   * Writes `input` to stdin and closes it, reads stdout and stderr to the end, and waits for the
   * process, all at the same time, so no side can block the other. Gives what was read; undefined
   * for a stream that is no pipe. It is no error if the process does not read its input. A process
   * that it has started may hold the output open. Then reading ends when the process has ended and
   * nothing has come for half a second. If the call is cancelled, the process goes on, and the
   * bytes that have come can still be read. Rejects with an InvalidStateError when there is an
   * `input`, and stdin is no pipe.
   */
  async communicate(
    input?: ProcessInput,
  ): Promise<[Piped<Uint8Array, Option<O, "stdout">>, Piped<Uint8Array, Option<O, "stderr">>]> {
    const api = "`process.communicate`";
    checkInput(api, input);
    const stdin = this.#stdin;
    if (input !== undefined && stdin === undefined)
      throw new InvalidStateError(
        `${api} has nothing to write its input to: start the process with \`stdin: "pipe"\``,
      );
    const feeding = new CancelScope();
    const stop = whenDrained(this.#child, () => {
      for (const stream of this.#outputs) stream.endArrived(); // reads come to the end after what is here
    });
    try {
      const [, stdout, stderr] = await gather(
        () => feeding.run(async () => (stdin === undefined ? undefined : await feed(stdin, input))),
        async () => await this.#stdout?.read(),
        async () => await this.#stderr?.read(),
        async () => {
          await this.wait();
          feeding.cancel("the process has ended");
        },
      );
      for (const stream of this.#outputs) stream.close(); // another process may hold the other end open
      return [stdout, stderr] as never; // there is output if there is a pipe, which is what the types say
    } finally {
      stop();
    }
  }

  /** Sends it a signal, by name or number. That it has ended is no error. */
  sendSignal(signal: `SIG${string}` | number): void {
    const { signals } = process.getBuiltinModule("node:os").constants;
    const isKnown = typeof signal === "number" ? Number.isInteger(signal) : signal in signals;
    if (!isKnown)
      throw argumentError("`process.sendSignal`", "the name or number of a signal", signal);
    this.#child.send(signal as NodeJS.Signals | number); // the host knows it
  }

  /**
   * Asks it to end, by SIGTERM; in a session of its own also everything that it has started in it.
   */
  terminate(): void {
    this.#child.sendToAll("SIGTERM");
  }

  /** Ends it, by SIGKILL; in a session of its own also everything that it has started in it. */
  kill(): void {
    this.#child.sendToAll("SIGKILL");
  }

  /**
   * Kills it if it runs, waits until it has gone, and closes its streams. Output that was not read
   * is dropped.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    // Killed first: a process whose input ends might end by itself, and pass for one that was done.
    const stopping = this.returncode === undefined ? this.#child.stop(0) : undefined;
    this.#input?.abort();
    for (const stream of this.#outputs) stream.close();
    await stopping;
  }
}

/**
 * Starts `program` with `args`. No shell looks at them. Resolves when it runs. If the call is
 * cancelled before, there is no process. Rejects with the error of the system, by its `code`, if it
 * cannot be started: ENOENT, EACCES.
 *
 * It runs until it ends: cancelling the scope that started it does not end it. `await using` does,
 * and so does the end of the run. `runProcess` is shorter, for programs that run, answer and end.
 *
 * @example
 * await using process = await asyncio.createSubprocessExec("cat", [], {
 *   stdin: "pipe",
 *   stdout: "pipe",
 * });
 * await process.stdin.write("meow\n");
 * assert.equal(new TextDecoder().decode(await process.stdout.readLine()), "meow\n");
 * process.stdin.close();
 * assert.equal(await process.wait(), 0);
 */
export function createSubprocessExec<const O extends SubprocessOptions>(
  program: string,
  args: readonly string[],
  options: O,
): Promise<Process<O>>;
export function createSubprocessExec(
  program: string,
  args?: readonly string[],
): Promise<Process<Record<never, never>>>;
/** As in Python: the arguments one by one. */
export function createSubprocessExec(
  program: string,
  ...args: string[]
): Promise<Process<Record<never, never>>>;
export function createSubprocessExec<const O extends SubprocessOptions>(
  program: string,
  ...args: [...args: string[], options: O]
): Promise<Process<O>>;
export async function createSubprocessExec(program: string, ...rest: unknown[]): Promise<unknown> {
  const api = "`createSubprocessExec`";
  const [words, given] = split(rest);
  checkProcessOptions(api, given, SUBPROCESS);
  const options = given ?? {};
  return await start(execSpec(api, program, words, options), api, options);
}

/**
 * Starts a command line in the shell of the system, `/bin/sh` or `cmd.exe`. The shell reads
 * everything in the line, so put values from outside into an argument of `createSubprocessExec`
 * instead. Otherwise the same.
 *
 * @example
 * const process = await asyncio.createSubprocessShell("echo one; echo two >&2", {
 *   stdout: "pipe",
 *   stderr: "stdout",
 * });
 * const [output] = await process.communicate();
 * assert.equal(new TextDecoder().decode(output), "one\ntwo\n");
 */
export async function createSubprocessShell<
  const O extends SubprocessOptions = Record<never, never>,
>(command: string, options?: O): Promise<Process<O>> {
  const api = "`createSubprocessShell`";
  checkProcessOptions(api, options, SUBPROCESS);
  return await start(shellSpec(api, command, options ?? {}), api, options ?? {});
}

function start<O extends SubprocessOptions>(
  spec: ReturnType<typeof execSpec>,
  api: string,
  { limit = DEFAULT_LIMIT }: SubprocessOptions,
): Promise<Process<O>> {
  checkLimit(api, limit);
  return Child.start(spec, (child) => new Process<O>(child, limit));
}

/** The arguments of a program, and the options that may come last. */
function split(rest: readonly unknown[]): [unknown[], SubprocessOptions | undefined] {
  const [first, second] = rest;
  if (Array.isArray(first)) return [first, second as SubprocessOptions | undefined]; // they are checked
  const last = rest.at(-1);
  const hasOptions = typeof last === "object" && last !== null;
  return hasOptions ? [rest.slice(0, -1), last] : [[...rest], undefined];
}
