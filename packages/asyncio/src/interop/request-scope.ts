/**
 * Requests of a web framework, each as a task of its own. The framework calls back from the host,
 * where its requests cannot be told apart: their code would run as branches of the task that
 * started the server, in one scope and with one set of context variables. Here each gets its own,
 * for as long as its body runs.
 *
 * The caller gets a plain promise, and no wait is parked in its scope: that scope is the one in
 * which the server was started, main for example. A request goes on when it ends, and is not what
 * main waits for.
 */

import {
  advice,
  argumentError,
  CancelledError,
  checkCoroutine,
  checkOptions,
  checkSeconds,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import type { FutureListener } from "../kernel/future.ts";
import { here } from "../kernel/operation.ts";
import type { Scope } from "../kernel/scope.ts";
import { dropSettlers, ignore, keepSettlers, latest, type Settle } from "../kernel/settlers.ts";
import { type Coroutine, Task } from "../kernel/task.ts";
import { runInRoot } from "../ports/context-storage.ts";
import type { Context } from "../structures/context-values.ts";
import type { Timer } from "../structures/timers.ts";
import { type RunningRequest, type RunningRequests, requestsOn } from "./running-requests.ts";

/** The response of a request on `node:http` or `node:http2`: what is looked at in it. */
export interface ResponseSource {
  /** True once it can send no more, because it ended or broke off. */
  readonly destroyed?: boolean | undefined;
  /** True once `end` was called. */
  readonly writableEnded: boolean;
  /** True once all of it has gone to the system. */
  readonly writableFinished: boolean;
  /** On `node:http2` this is what is destroyed. */
  readonly stream?: { readonly destroyed: boolean } | undefined;
  /** Calls `listener` at the `event` "close", each time. */
  on(event: "close", listener: () => void): unknown;
  /** Takes `listener` off the `event` "close". */
  off(event: "close", listener: () => void): unknown;
}

/**
 * Where it is seen that the client leaves: an AbortSignal; a web Request, whose `signal` it is; or
 * a response of Node, which is closed before it has finished. `request` is there for the name of
 * the task.
 */
export type RequestSource =
  | AbortSignal
  | { readonly signal: AbortSignal; readonly method?: string; readonly url?: string }
  | {
      readonly response: ResponseSource;
      readonly request?:
        | { readonly method?: string | undefined; readonly url?: string | undefined }
        | undefined;
    };

/** What `requestScope` takes. */
export interface RequestScopeOptions {
  /** What reports call it. @default method and path where `source` has them: "GET /users" */
  readonly name?: string | undefined;
  /** Seconds that it may go on for when the run shuts down; then it is cancelled. @default 10 */
  readonly drain?: number | undefined;
  /**
   * The context variables of the request, used as they are. @default a copy of those where it is
   * called
   */
  readonly context?: Context | undefined;
}

const KNOWN: Names<RequestScopeOptions> = { name: "string", drain: 1, context: "Context" };
const DEFAULT_DRAIN = 10;
const api = "`requestScope`";

/**
 * Runs `body` as the task of one request, and gives what it gives. The task has context variables
 * of its own, which no other request sees, and a scope of its own: when the client leaves, the
 * waits in it end with a CancelledError whose `source` is "abort". If the client had left before,
 * the body does not run. Waits until the body has ended, whatever ends it.
 *
 * A failure of the body goes to the caller, and nowhere else; after a cancellation that is the
 * CancelledError. Call it in the callback of a framework. It belongs to no task there: the task
 * that started the server does not wait for it.
 *
 * When the run shuts down, its requests go on for `drain` seconds, before the other tasks are
 * cancelled; then they are cancelled, and further ones are refused. A cancellation of the scope
 * that it was called in reaches it as well, unless it is that of the shutdown. Outside every run,
 * and when the run has ended, it runs on the default loop, where nothing is drained.
 *
 * @throws TypeError and RangeError for wrong arguments; InvalidStateError when the run has drained
 * its requests and is ending.
 *
 * @example
 * const user = new asyncio.ContextVar<string>("user");
 * const handle = async (request: Request) => {
 *   user.set(new URL(request.url).pathname);
 *   await asyncio.sleep(0.001);
 *   return new Response(`hello ${user.get()}`);
 * };
 *
 * const requests = ["/ann", "/bob"].map((path) => new Request(`http://localhost${path}`));
 * const responses = await Promise.all(requests.map((request) => asyncio.requestScope(request, () =>
 * handle(request)))); assert.deepEqual(await Promise.all(responses.map((response) =>
 * response.text())), ["hello /ann", "hello /bob"]);
 */
export function requestScope<T>(
  source: RequestSource,
  body: Coroutine<T>,
  options: RequestScopeOptions = {},
): Promise<T> {
  try {
    checkCoroutine(api, body);
    checkRequestOptions(options);
    const client = clientOf(source);
    const caller = here();
    const interruption = interruptionOf(caller);
    if (interruption !== undefined) return interruption;
    const { name = nameOf(source), drain = DEFAULT_DRAIN, context } = options;
    const loop = caller.loop.isClosed() ? runInRoot(here).loop : caller.loop;
    const requests = requestsOn(loop);
    requests.checkOpen(api, drain);
    if (hasLeft(client)) {
      const reason = reasonOf(client);
      throw new CancelledError({ source: "abort", reason }, { cause: reason });
    }
    const task = new Task(loop, body, { name, context });
    return new Request(task, caller, client, requests, drain).outcome as Promise<T>; // of the task, which gives a T
  } catch (error) {
    return rejected(error);
  }
}

/** A cancellation that is not awaited does no harm (R10). */
function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  if (error instanceof CancelledError) promise.catch(ignore);
  return promise;
}

/**
 * The rejection of a request in a scope that was cancelled. A shutdown is another matter, and not
 * ours to deliver.
 */
function interruptionOf(caller: Scope): Promise<never> | undefined {
  const cancellation = caller.peekDue();
  if (cancellation === undefined || isEndOfRun(cancellation)) return undefined;
  return caller.interruption("requestScope");
}

/** One running request: what ends it, and what has to be let go when it has ended. */
class Request implements RunningRequest, FutureListener {
  readonly task: Task<unknown>;
  readonly caller: Scope;
  /**
   * What the caller gets: a plain promise, whose failure is the program's own if it is not handled.
   */
  readonly outcome: Promise<unknown>;
  readonly drain: number;
  drainTimer: Timer | undefined = undefined;
  previous: RunningRequest | undefined = undefined;
  next: RunningRequest | undefined = undefined;
  readonly #requests: RunningRequests;
  readonly #client: Client;
  readonly #resolve: Settle;
  readonly #reject: Settle;
  /** The cancellation of the caller's scope that was passed on to the task. */
  #passedOn: Cancellation | undefined = undefined;

  constructor(
    task: Task<unknown>,
    caller: Scope,
    client: Client,
    requests: RunningRequests,
    drain: number,
  ) {
    this.task = task;
    this.caller = caller;
    this.drain = drain;
    this.#requests = requests;
    this.#client = client;
    this.outcome = new Promise(keepSettlers);
    this.#resolve = latest.resolve;
    this.#reject = latest.reject;
    dropSettlers();
    if (isSignal(client)) client.addEventListener("abort", this.#clientLeft);
    else client.on("close", this.#responseClosed);
    requests.add(this);
    task.observe();
    task.listen(this);
  }

  /** The scope that it was called in is cancelled. */
  callerCancelled(cancellation: Cancellation): void {
    if (isEndOfRun(cancellation)) return;
    const known = this.#passedOn?.scope;
    // Of several scopes the outermost answers for the error, and a scope with its first
    // cancellation, as in a wait.
    if (known === undefined || (known !== cancellation.scope && known.isInside(cancellation.scope)))
      this.#passedOn = cancellation;
    this.task.forwardCancel(cancellation);
  }

  /** The run is ending, and the request has had its time. */
  timerDue(): void {
    this.#requests.remove(this);
    this.task.cancelFor("shutdown");
  }

  /** The task has ended. */
  futureDone(): void {
    const { task } = this;
    this.#requests.remove(this);
    if (isSignal(this.#client)) this.#client.removeEventListener("abort", this.#clientLeft);
    else this.#client.off("close", this.#responseClosed);
    if (task.state === "fulfilled") this.#resolve(task.value);
    else if (task.state === "rejected") this.#reject(task.failure);
    else {
      this.outcome.catch(ignore);
      this.#reject(this.#cancelledError());
    }
  }

  /** A caller that was cancelled gets the error of its own scope, as with every join (F1). */
  #cancelledError(): unknown {
    const { failure } = this.task;
    const cancellation = this.#passedOn;
    if (cancellation === undefined) return failure;
    cancellation.scope.noteDelivered(cancellation);
    return new CancelledError(cancellation, { cause: failure });
  }

  readonly #clientLeft = (): void => {
    this.task.cancelFor("abort", reasonOf(this.#client));
  };

  readonly #responseClosed = (): void => {
    if (!isFinished(this.#client as ResponseSource)) this.#clientLeft(); // only a response is listened to so
  };
}

/**
 * Whether a cancellation is that of a run which shuts down, or the end of the scope that the caller
 * happened to be in.
 */
function isEndOfRun({ source }: Cancellation): boolean {
  return source === "shutdown" || source === "closed";
}

type Client = AbortSignal | ResponseSource;

function clientOf(source: RequestSource): Client {
  const { response, signal = source } = (source ?? {}) as { response?: unknown; signal?: unknown };
  if (isSignal(signal)) return signal;
  if (typeof (response as ResponseSource | undefined)?.on === "function")
    return response as ResponseSource;
  const expected = "an AbortSignal, a web Request, or `{ request, response }` of Node";
  const isOfFramework = typeof (response as { raw?: unknown } | undefined)?.raw === "object";
  const cure = isOfFramework
    ? advice("Pass Node's own: `{ request: request.raw, response: reply.raw }`")
    : "";
  throw argumentError(api, expected, source, cure);
}

function isSignal(value: unknown): value is AbortSignal {
  return typeof (value as AbortSignal | undefined)?.addEventListener === "function";
}

/** Whether the client had left before anything listened. */
function hasLeft(client: Client): boolean {
  if (isSignal(client)) return client.aborted;
  return (client.destroyed ?? client.stream?.destroyed ?? false) && !isFinished(client);
}

/** One on `node:http2` finishes also when its client leaves; but then it was not ended. */
function isFinished({ writableEnded, writableFinished }: ResponseSource): boolean {
  return writableEnded && writableFinished;
}

function reasonOf(client: Client): unknown {
  if (isSignal(client)) return client.reason;
  const error = new Error("the client has left before the response was finished");
  error.name = "AbortError";
  return error;
}

/** Method and path, and not what comes behind a question mark: reports are no place for secrets. */
function nameOf(source: RequestSource): string | undefined {
  const { method, url } = (("response" in source ? source.request : source) ?? {}) as {
    readonly method?: unknown;
    readonly url?: unknown;
  };
  if (typeof method !== "string" || typeof url !== "string") return undefined;
  const start = url.startsWith("/") ? 0 : Math.max(url.indexOf("/", url.indexOf("://") + 3), 0);
  const end = url.indexOf("?", start);
  return `${method} ${end === -1 ? url.slice(start) : url.slice(start, end)}`;
}

function checkRequestOptions(options: RequestScopeOptions): void {
  checkOptions(api, options, KNOWN);
  const { drain } = options;
  if (drain !== undefined) {
    checkSeconds(api, "`drain` in seconds", drain);
    if (drain < 0) throw rangeError(api, "`drain` of 0 seconds or more", drain);
  }
}
