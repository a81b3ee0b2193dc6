/** What a worker says, as its pool and its jobs hear it. */

import { errorOf } from "./error-table.ts";
import type { PoolWorker } from "./pool-worker.ts";
import { type FromWorker, fromWorker } from "./protocol.ts";
import type { Outcome, Work } from "./work.ts";

/** What concerns the pool, and not one job alone. */
export interface Hearing {
  ended(worker: PoolWorker, seq: number, seconds: number, outcome: Outcome): void;
  revoked(worker: PoolWorker, work: Work): void;
  ready(worker: PoolWorker): void;
  broken(cause: unknown): void;
}

/** The numbers of jobs in it may be wrong: the worker runs code of others. */
export function hear(worker: PoolWorker, message: FromWorker, pool: Hearing): void {
  switch (message[0]) {
    case fromWorker.done: {
      const [, seq, seconds, value] = message;
      return void pool.ended(worker, seq, seconds, { state: "value", value });
    }
    case fromWorker.failed: {
      const [, seq, seconds, table] = message;
      return void pool.ended(worker, seq, seconds, { state: "failed", table });
    }
    case fromWorker.cancelled: {
      const [, seq, seconds, source] = message;
      return void pool.ended(worker, seq, seconds, { state: "cancelled", source });
    }
    case fromWorker.revoked: {
      const work = worker.takeOut(message[1]);
      if (work !== undefined) pool.revoked(worker, work);
      return;
    }
    case fromWorker.item:
      return void worker.workAt(message[1])?.rare.onItem?.(message[2]);
    case fromWorker.progress:
      return void worker.workAt(message[1])?.rare.onProgress?.(message[2]);
    case fromWorker.call: {
      const [, seq, call, index, args] = message;
      if (!Array.isArray(args)) return;
      const reply = worker.link.reply.bind(worker.link, seq, call);
      return void worker.workAt(seq)?.called(call, index, args, reply);
    }
    case fromWorker.uncall:
      return void worker.workAt(message[1])?.uncalled(message[2]);
    case fromWorker.ready:
      return void pool.ready(worker);
    case fromWorker.broken:
      return void pool.broken(errorOf(message[1]));
  }
}
