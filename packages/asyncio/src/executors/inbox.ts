/** The jobs that have come to a thread and have not begun, in the order in which they were sent. */

import { RingBuffer } from "../structures/ring-buffer.ts";
import { type JobMessage, PLAIN_HEAD, type PlainJobs } from "./protocol.ts";

export class Inbox {
  readonly #parts: RingBuffer<JobMessage | PlainPart> = new RingBuffer();

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  add(job: JobMessage): void {
    this.#parts.push(job);
  }

  addPlain(jobs: PlainJobs): void {
    this.#parts.push(new PlainPart(jobs));
  }

  /** The next job, which is not in it any more; undefined if there is none. */
  take(): JobMessage | undefined {
    if (this.#parts.length === 0) return undefined;
    const part = this.#parts.at(0);
    if (!(part instanceof PlainPart)) return this.#parts.shift() as JobMessage;
    const job = part.take();
    if (part.isEmpty) this.#parts.shift();
    return job;
  }
}

/** Jobs in one array: each is taken apart when its turn has come. */
class PlainPart {
  readonly #jobs: PlainJobs;
  #at = 0;

  constructor(jobs: PlainJobs) {
    this.#jobs = jobs;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#jobs.length;
  }

  take(): JobMessage {
    const jobs = this.#jobs;
    const at = this.#at;
    const first = at + PLAIN_HEAD;
    this.#at = first + (jobs[at + PLAIN_HEAD - 1] as number);
    const args = jobs.slice(first, this.#at);
    const extras = jobs[at + 3] === 0 ? undefined : jobs[at + 3];
    return [jobs[at], jobs[at + 1], jobs[at + 2], args, extras] as unknown as JobMessage; // see PlainJobs
  }
}
