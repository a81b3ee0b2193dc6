/**
 * A service that checks regular expressions which its users write. A few of them never end. Each
 * check has a deadline, and when that has passed, or the client has left, the check is stopped: the
 * next one finds its worker free.
 */

import { createServer, type Server, type ServerResponse } from "node:http";
import * as asyncio from "asyncio-ts";
import { type Executor, module } from "asyncio-ts/executors";

const checks = module<typeof import("./checks.ts")>(new URL("./checks.ts", import.meta.url));

/** Interrupted at once: a regular expression has no state, and hears of nothing. */
const check = checks.check.with({ stop: "keep", stopDelay: 0 });

/** What has become of the checks. */
export interface Counters {
  matched: number;
  unmatched: number;
  wrong: number;
  tooLong: number;
  left: number;
}

export class Checker {
  readonly counters: Counters = { matched: 0, unmatched: 0, wrong: 0, tooLong: 0, left: 0 };
  readonly #executor: Executor;
  readonly #seconds: number;

  constructor(executor: Executor, seconds: number) {
    this.#executor = executor;
    this.#seconds = seconds;
  }

  /** Says in words what has come out. Cancelled, it ends when the check has been stopped. */
  async check(pattern: string, text: string): Promise<string> {
    const { counters } = this;
    try {
      const run = () => this.#executor.run(check, pattern, text);
      const isMatch = await asyncio.timeout(this.#seconds, run);
      if (isMatch) counters.matched++;
      else counters.unmatched++;
      return isMatch ? "it matches" : "it does not match";
    } catch (error) {
      if (error instanceof SyntaxError) {
        counters.wrong++;
        return error.message;
      }
      if (error instanceof asyncio.TimeoutError) {
        counters.tooLong++;
        return `it had not ended after ${this.#seconds} s, and was stopped`;
      }
      if (error instanceof asyncio.CancelledError) counters.left++;
      throw error;
    }
  }

  /** The counters, and what the workers do. */
  report(): string {
    const { workers, replaced, queued } = this.#executor.stats();
    return JSON.stringify({ ...this.counters, workers: workers.length, replaced, queued });
  }
}

const page = `<!doctype html><meta charset="utf-8"><title>runaway</title>
<h1>Does it match?</h1>
<form><input name="pattern" size="40" value="^(a+)+$"> <input name="text" size="50" value="${"a".repeat(40)}b">
<button>check</button></form><pre id="answer"></pre><pre id="counters"></pre>
<script>
const form = document.querySelector("form");
let asking;
form.onsubmit = async (event) => {
  event.preventDefault();
  asking?.abort();
  asking = new AbortController();
  answer.textContent = "...";
  const query = new URLSearchParams(new FormData(form));
  const response = await fetch("/check?" + query, { signal: asking.signal });
  answer.textContent = await response.text();
};
setInterval(async () => {
  counters.textContent = JSON.stringify(await (await fetch("/counters")).json(), null, 2);
}, 500);
</script>`;

/** Serves the page and the checks. A client that leaves stops its check. */
export function serve(checker: Checker): Server {
  return createServer((request, response) => {
    const body = () => answer(checker, request.url ?? "/", response);
    asyncio.requestScope({ request, response }, body).catch(() => response.destroy());
  });
}

async function answer(checker: Checker, path: string, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(path, "http://localhost");
  if (pathname === "/counters") {
    response.setHeader("content-type", "application/json").end(checker.report());
  } else if (pathname === "/check") {
    const pattern = searchParams.get("pattern") ?? "";
    response.end(await checker.check(pattern, searchParams.get("text") ?? ""));
  } else response.setHeader("content-type", "text/html").end(page);
}
