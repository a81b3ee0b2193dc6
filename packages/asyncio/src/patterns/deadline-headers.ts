/**
 * Deadlines over a wire: a service that is asked tells those that it asks how much time is left, so
 * that nobody works on for a caller who has given up. What is sent is the time that is left, and
 * not an instant, since clocks differ; the time on the way is not counted. Source: the grpc-timeout
 * header of gRPC.
 */

import { adviceFor } from "../errors/advice.ts";
import { argumentError, checkCoroutine } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import type { Coroutine } from "../kernel/task.ts";
import { timeLeft } from "../tasks/due.ts";
import { timeout } from "../tasks/timeouts.ts";
import { seconds, settle } from "./settings.ts";

const HEADER = "time-left";

/**
 * The headers of a request: those of a web Request, or of Node. Names of Node's are in lower case.
 */
export type HeadersOf =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What `withDeadlineOf` takes. */
export interface WithDeadlineOptions {
  /** Seconds that `body` has at most, whatever the caller allows. @default Infinity */
  readonly max?: number | undefined;
}

/**
 * The headers that tell the other side how much time is left until the nearest deadline here:
 * `time-left`, in seconds, such as "1.250"; none if there is no deadline. Not a wait.
 *
 * @example
 * const headers = await asyncio.timeout(5, async () => patterns.deadlineHeaders());
 * assert.ok(Number(headers["time-left"]) > 4);
 * assert.deepEqual(patterns.deadlineHeaders(), {});
 */
export function deadlineHeaders(): Record<string, string> {
  const left = timeLeft();
  if (left === Number.POSITIVE_INFINITY) return {};
  return { [HEADER]: (Math.floor(left * 1000) / 1000).toFixed(3) };
}

/**
 * Runs `body` under the deadline that came with the `headers` of a request, as `timeout` does: past
 * it, waits are cancelled, and the call rejects with a TimeoutError. Without such a header, or with
 * one that is no number of seconds, only `max` counts. Callers can ask for less time than `max`,
 * and not for more.
 *
 * @example
 * const handle = (request: Request) =>
 *   patterns.withDeadlineOf(request.headers, () => asyncio.sleep(3600), { max: 30 });
 * const request = new Request("http://localhost/", { headers: { "time-left": "0.010" } });
 * await assert.rejects(handle(request), asyncio.TimeoutError);
 */
export async function withDeadlineOf<T>(
  headers: HeadersOf,
  body: Coroutine<T>,
  options?: WithDeadlineOptions,
): Promise<T> {
  const api = "`withDeadlineOf`";
  if (typeof headers !== "object" || headers === null || isThenable(headers))
    throw argumentError(api, "the headers of a request", headers, adviceFor(headers, {}));
  checkCoroutine(api, body);
  const { max } = settle(api, options, { max: [seconds, Number.POSITIVE_INFINITY] });
  return await timeout(Math.min(secondsIn(headers), max), body);
}

/** The least of what the headers say: a proxy may have added its own. */
function secondsIn(headers: HeadersOf): number {
  const found =
    typeof headers.get === "function"
      ? headers.get(HEADER)
      : (headers as Readonly<Record<string, unknown>>)[HEADER];
  const values = String(found ?? "").split(",");
  const isNumber = /^\s*\d+(\.\d+)?\s*$/;
  return Math.min(...values.map((value) => (isNumber.test(value) ? Number(value) : 1 / 0)));
}
