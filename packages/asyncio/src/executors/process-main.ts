/**
 * The first module of a process of a pool. It has one thread, in which the jobs run, and passes on
 * what does not go over the wire between that and the pool. When the pool's process has gone, the
 * channel closes, and this process ends in the same moment, whatever its thread does.
 */

import { tableOf } from "./error-table.ts";
import {
  type FromWorker,
  fromWorker,
  type ToWorker,
  toWorker,
  type WorkerSetup,
} from "./protocol.ts";
import { refusal } from "./sending.ts";
import { ThreadLink } from "./thread-link.ts";

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => {}); // a terminal sends it to all; the pool says when this one ends
process.once("message", ([name, setup]: [string, WorkerSetup]) => {
  try {
    begin(name, setup);
  } catch (error) {
    process.send?.([[fromWorker.broken, tableOf(error)]]); // no thread can be started here
  }
});

function begin(name: string, setup: WorkerSetup): void {
  const outgoing: FromWorker[] = [];
  const post = (message: FromWorker): void => {
    outgoing.push(message);
    if (outgoing.length === 1) queueMicrotask(flush);
  };
  const flush = (): void => {
    const messages = outgoing.splice(0);
    try {
      process.send?.(messages);
    } catch {
      for (const message of messages) sendAlone(message);
    }
  };
  const thread = new ThreadLink(
    { name, setup, env: undefined, execArgv: undefined },
    {
      received: post,
      done: (seq, seconds, value) => post([fromWorker.done, seq, seconds, value]),
      exited: ({ exitCode = 0, cause }) => {
        outgoing.push([
          fromWorker.gone,
          exitCode,
          cause === undefined ? undefined : tableOf(cause),
        ]);
        process.send?.(outgoing.splice(0), () => process.exit(exitCode));
      },
    },
    true,
  );
  process.on("message", (message: ToWorker) => void handle(thread, message, post));
}

async function handle(
  thread: ThreadLink,
  message: ToWorker,
  post: (message: FromWorker) => void,
): Promise<void> {
  switch (message[0]) {
    case toWorker.plainJobs:
      return thread.sendPlain(message[1], message[2]);
    case toWorker.job:
      return sendJob(thread, message, post);
    case toWorker.cancel:
      return thread.cancel(message[1], message[2], message[3], message[4]);
    case toWorker.reply:
      return thread.reply(message[1], message[2], message[3]);
    case toWorker.credit:
      return thread.grant(message[1], message[2]);
    case toWorker.revoke:
      return thread.revoke(message[1]);
    case toWorker.interrupt:
      return post([fromWorker.interrupted, message[1], await thread.interrupt(message[1])]);
  }
}

/** What has come through the channel can be copied once more, as far as anybody knows. */
function sendJob(
  thread: ThreadLink,
  [, definitions, job]: Extract<ToWorker, [7, ...unknown[]]>,
  post: (message: FromWorker) => void,
): void {
  try {
    thread.send(definitions, job, []);
  } catch (cause) {
    const [seq, , , args] = job;
    post([fromWorker.failed, seq, 0, tableOf(refusal("args", args, cause))]);
  }
}

/** A thread can send more than a process. */
function sendAlone(message: FromWorker): void {
  try {
    process.send?.([message]);
  } catch (cause) {
    const seq = message[1] as number;
    const name = message[0] === fromWorker.done ? "result" : "item";
    process.send?.([[fromWorker.failed, seq, 0, tableOf(refusal(name, message.at(-1), cause))]]);
  }
}
