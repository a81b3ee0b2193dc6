/**
 * A program that runs, answers and ends, in one call that leaves nothing behind. Sources: Trio's
 * run_process, Python's subprocess.run.
 */

import type { Readable } from "node:stream";
import { advice, argumentError, checkSeconds, rangeError, TimeoutError } from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { concatenate, makeDecoder } from "../streams/encode.ts";
import { NodeStream } from "../streams/node-stream.ts";
import { StreamWriter } from "../streams/writer.ts";
import { formatSeconds } from "../structures/timers.ts";
import { gather } from "../tasks/gather.ts";
import { CancelScope, moveOnAfter } from "../tasks/timeouts.ts";
import { Child, DEFAULT_KILL_DELAY } from "./child.ts";
import { ProcessError, type Tail } from "./errors.ts";
import { checkInput, feed, type ProcessInput } from "./input.ts";
import { SUBPROCESS, type SubprocessOptions } from "./options.ts";
import { checkProcessOptions, execSpec } from "./spec.ts";

/** What `runProcess` takes. */
export interface RunProcessOptions extends Omit<SubprocessOptions, "limit" | "stdin"> {
  /**
   * How stdout and stderr are captured: as text (UTF-8) or as bytes. If false, they are not
   * captured, and go where those of this process go. @default "text"
   */
  readonly capture?: "text" | "bytes" | false | undefined;
  /** Whether a return code other than 0 is a ProcessError. @default true */
  readonly check?: boolean | undefined;
  /** What it reads. @default nothing */
  readonly input?: ProcessInput | undefined;
  /** Without `input`. @default "ignore" */
  readonly stdin?: "inherit" | "ignore" | number | undefined;
  /**
   * Seconds that the process has. After that it is ended, and the call rejects with a TimeoutError.
   * @default Infinity
   */
  readonly seconds?: number | undefined;
  /** Seconds between SIGTERM and SIGKILL, when it has to be ended. @default 3 */
  readonly killDelay?: number | undefined;
}

const KNOWN: Names<RunProcessOptions> = /* @__PURE__ */ (({ limit: _, ...others }) => ({
  ...others,
  capture: 1 as const,
  check: "boolean" as const,
  input: 1 as const,
  seconds: 1 as const,
  killDelay: 1 as const,
}))(SUBPROCESS);

type Option<O, K extends keyof RunProcessOptions> = K extends keyof O ? O[K] : undefined;

/** What is captured, by the option `capture`. */
type Captured<C> = [C] extends ["bytes"]
  ? Uint8Array
  : [C] extends [false]
    ? undefined
    : [C] extends ["text" | undefined]
      ? string
      : string | Uint8Array | undefined;

type CapturedStream<O, K extends "stdout" | "stderr"> = [Option<O, K>] extends ["pipe" | undefined]
  ? Captured<Option<O, "capture">>
  : [Extract<Option<O, K>, "pipe" | undefined>] extends [never]
    ? undefined
    : Captured<Option<O, "capture">> | undefined;

/** What `runProcess` gives. */
export interface ProcessResult<O extends RunProcessOptions = RunProcessOptions> {
  /** The exit code. If a signal has ended the process, the number of the signal, negative. */
  readonly returncode: number;
  /** What it has written to stdout, where that was captured. */
  readonly stdout: CapturedStream<O, "stdout">;
  /** What it has written to stderr, where that was captured. */
  readonly stderr: CapturedStream<O, "stderr">;
}

const API = "`runProcess`";
/** Bytes of each stream that a ProcessError keeps. */
const TAIL_BYTES = 65_536;

/**
 * Runs `program` with `args` to its end, and gives its output. stdout and stderr are read while it
 * runs, so it cannot block on a full pipe. `input` is written at its pace. A process that it has
 * started may hold its output open. Then reading ends when the program has ended and nothing has
 * come for half a second, or when `seconds` have passed.
 *
 * If the call is cancelled, the process gets a SIGTERM, and so does everything that it has started
 * in its session. What is left after `killDelay` seconds is killed. The call rejects when the
 * process has gone. A further cancellation does not interrupt that.
 *
 * @throws ProcessError if it ends with another code than 0, or by a signal, unless `check` is
 * false. Has the end of its output.
 * @throws TimeoutError after `seconds`; its `cause` is a ProcessError with what came by then.
 *
 * @example
 * const { stdout } = await asyncio.runProcess("tr", ["a-z", "A-Z"], { input: "shout" });
 * assert.equal(stdout, "SHOUT");
 */
export async function runProcess<const O extends RunProcessOptions = Record<never, never>>(
  program: string,
  args: readonly string[] = [],
  options?: O,
): Promise<ProcessResult<O>> {
  checkProcessOptions(API, options, KNOWN);
  const {
    check = true,
    killDelay = DEFAULT_KILL_DELAY,
    seconds,
    input,
  }: RunProcessOptions = options ?? {};
  if (!Array.isArray(args)) throw argumentError(API, "an array of arguments", args);
  const { capture, settings } = settingsOf(options ?? {});
  const spec = execSpec(API, program, args, settings);
  const running = await Child.start(spec, (child) => new Running(child, capture));
  if (seconds === undefined) await running.finish(input, killDelay);
  else await moveOnAfter(seconds, () => running.finish(input, killDelay, here()));
  if (seconds !== undefined && running.isStopped) {
    const message = `${API} has ended ${spec.command}: it has not ended by itself within ${formatSeconds(seconds)}`;
    throw new TimeoutError(message, { cause: running.error() });
  }
  if (check && running.returncode !== 0) throw running.error();
  const { returncode, stdout, stderr } = running;
  // There is output if there was a pipe, which is what the types say.
  return { returncode, stdout: stdout?.all(), stderr: stderr?.all() } as ProcessResult<O>;
}

type Capture = "text" | "bytes" | false;

/** Checks the options; gives those for the host. */
function settingsOf(options: RunProcessOptions): {
  readonly capture: Capture;
  readonly settings: SubprocessOptions;
} {
  const { capture = "text", input, killDelay = DEFAULT_KILL_DELAY, seconds = 0 } = options;
  if (capture !== "text" && capture !== "bytes" && capture !== false)
    throw argumentError(API, '`capture` to be "text", "bytes" or false', capture);
  checkInput(API, input);
  if (input !== undefined && options.stdin !== undefined)
    throw argumentError(API, "`input` or `stdin`, not both", options.stdin);
  if ((options.stdin as unknown) === "pipe")
    throw argumentError(
      API,
      '`stdin` to be "inherit", "ignore" or a file descriptor',
      "pipe",
      advice("What it reads goes into `input`; to talk to a process, use `createSubprocessExec`"),
    );
  checkDelay("`killDelay` in seconds", killDelay);
  checkDelay("`seconds` it may take", seconds);
  const output = capture === false ? "inherit" : "pipe";
  const { stdin = input === undefined ? "ignore" : "pipe" } = options;
  const { stdout = output, stderr = output } = options;
  return { capture, settings: { ...options, stdin, stdout, stderr } };
}

function checkDelay(what: string, seconds: unknown): void {
  checkSeconds(API, what, seconds);
  if (seconds < 0) throw rangeError(API, `${what}, 0 or more`, seconds);
}

/** A process that is being run. */
class Running {
  readonly stdout: Recording | undefined;
  readonly stderr: Recording | undefined;
  /** True once it was told to end. */
  isStopped = false;
  /** True once it has ended and its output was read, as far as that is waited for. */
  #isOver = false;
  readonly #child: Child;
  readonly #stdin: StreamWriter | undefined;

  constructor(child: Child, capture: Capture) {
    const { stdin, stdout, stderr } = child.host;
    this.#child = child;
    this.stdout = stdout === null ? undefined : new Recording(stdout, capture);
    this.stderr = stderr === null ? undefined : new Recording(stderr, capture);
    if (stdin !== null) {
      const describe = (): string => `stdin of ${child.describe()}`;
      this.#stdin = new StreamWriter(new NodeStream({ writable: stdin, describe }));
    }
  }

  /** Undefined until it has ended. */
  get returncode(): number | undefined {
    return this.#child.returncode;
  }

  /**
   * Waits until it has ended by itself. If the wait is ended by anything else, ends the process.
   * `limit` has the deadline, if any.
   */
  async finish(
    input: ProcessInput | undefined,
    killDelay: number,
    limit?: Scope | undefined,
  ): Promise<void> {
    try {
      await this.#exchange(input, () => this.#untilEnd(killDelay, limit));
    } catch (error) {
      if (!this.#isOver) await this.#stop(killDelay); // its input has failed
      throw error;
    } finally {
      this.#child.closeStreams();
      this.#stdin?.abort();
    }
  }

  async #exchange(input: ProcessInput | undefined, untilEnd: () => Promise<void>): Promise<void> {
    const stdin = this.#stdin;
    if (stdin === undefined) {
      await untilEnd();
      return;
    }
    const feeding = new CancelScope();
    await gather(
      () => feeding.run(() => feed(stdin, input)),
      async () => {
        await untilEnd();
        feeding.cancel("the process has ended");
      },
    );
  }

  /** A cancellation ends it at once, and not when the input has cleaned up. */
  async #untilEnd(killDelay: number, limit: Scope | undefined): Promise<void> {
    try {
      await this.#child.drained();
    } catch (error) {
      // At the deadline it has ended in time, and what it has left running holds its output open.
      if (limit?.cancelState.expired === true && this.returncode !== undefined)
        await this.#child.readRest().catch(() => {});
      else await this.#stop(killDelay);
      throw error;
    } finally {
      this.#isOver = true;
    }
  }

  async #stop(killDelay: number): Promise<void> {
    this.isStopped = true;
    await this.#child.stop(killDelay);
  }

  error(): ProcessError {
    const { command, signal } = this.#child;
    return new ProcessError({
      command,
      returncode: this.#child.returncode as number, // made when it has ended
      signal,
      stdout: this.stdout?.tail() ?? NOTHING,
      stderr: this.stderr?.tail() ?? NOTHING,
    });
  }
}

const NOTHING: Tail<undefined> = { output: undefined, cut: 0 };

/** Everything that comes out of a stream. */
class Recording {
  readonly #isText: boolean;
  readonly #chunks: Uint8Array[] = [];

  constructor(stream: Readable, capture: Capture) {
    this.#isText = capture === "text";
    stream.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
    });
    stream.on("error", () => {}); // it ends: what has come is all
  }

  all(): string | Uint8Array {
    return this.#present(concatenate(this.#chunks));
  }

  /** The last bytes: whole characters, if it is text. */
  tail(): Tail<string | Uint8Array> {
    const bytes = concatenate(this.#chunks);
    let cut = Math.max(bytes.length - TAIL_BYTES, 0);
    if (this.#isText && cut > 0) while (isInsideCharacter(bytes[cut])) cut++;
    return { output: this.#present(bytes.slice(cut)), cut };
  }

  #present(bytes: Uint8Array): string | Uint8Array {
    return this.#isText ? makeDecoder("utf-8", true).decode(bytes) : bytes;
  }
}

/** Bytes that go on with a character of UTF-8 begin with the bits 10. */
function isInsideCharacter(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000;
}
