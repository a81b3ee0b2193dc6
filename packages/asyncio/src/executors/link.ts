/** One worker, as its pool sees it: a thread or a process. */

import type { CancelSource } from "../errors/errors.ts";
import type { WorkerEnd } from "./errors.ts";
import type {
  CallOutcome,
  Definition,
  FromWorker,
  JobMessage,
  PlainJobs,
  WorkerSetup,
} from "./protocol.ts";

/** What a worker is started with. */
export interface LinkOptions {
  readonly name: string;
  readonly setup: WorkerSetup;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly execArgv: readonly string[] | undefined;
}

export interface LinkListener {
  received(message: FromWorker): void;
  /** The same as that message, for results that come in bursts. */
  done(seq: number, seconds: number, value: unknown): void;
  /** It has gone: nothing of it runs any more, and nothing comes after this. */
  exited(end: WorkerEnd): void;
}

export interface Link {
  /** Hands jobs over whose arguments are primitive. */
  sendPlain(definitions: readonly Definition[], jobs: PlainJobs): void;
  /** Hands a job over. Throws, and has not handed it over, if the host cannot copy it. */
  send(definitions: readonly Definition[], job: JobMessage, transfer: readonly object[]): void;
  /** Asks a job to end; one that has not started is taken back, and never does. */
  cancel(seq: number, source: CancelSource, reason: unknown, by: string | undefined): void;
  /** Takes a job back if it has not started. */
  revoke(seq: number): void;
  /** Whether a job that was sent may have started. */
  mayHaveStarted(seq: number): boolean;
  reply(seq: number, call: number, outcome: CallOutcome): void;
  grant(seq: number, count: number): void;
  /** Interrupts the job that runs; true if it was cut off and the worker can go on. */
  interrupt(seq: number): Promise<boolean>;
  /** Ends the worker by force: true when it is gone, false if it is not after `seconds`. */
  terminate(seconds: number): Promise<boolean>;
  /** In the call, as well as that goes. */
  kill(): void;
  /** Whether it keeps this process alive. */
  hold(isHeld: boolean): void;
  /** In use, as far as that is known. */
  readonly megabytes: number;
  /** What reports call it. */
  readonly description: string;
  readonly pid: number | undefined;
}
