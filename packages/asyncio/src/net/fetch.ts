/**
 * The host's `fetch` inside scopes. A request belongs to the scope in which it was made, from the
 * call to the end of the body of its response:
 *
 *     fetch ──headers──▶ Response ──text(), json(), body──▶ over
 *       └─ cancelled ──────┴─ cancelled, or the end of the scope ──▶ the request is aborted
 *
 * The response is the host's own object. Its methods that read the body are replaced by operations
 * of ours, and `body` by a stream that tells when it has been read to its end: so nothing is kept
 * of a request that is over, however long its scope lives.
 */

import { advice, CancelledError, checkOptions, InvalidStateError } from "../errors/errors.ts";
import { isThenable } from "../errors/render.ts";
import { Aborting } from "../interop/abort-signal.ts";
import { failureCameLate } from "../interop/late.ts";
import type { Cancellation } from "../kernel/cancellation.ts";
import { cancelIfDue } from "../kernel/delivery.ts";
import { here } from "../kernel/operation.ts";
import { park, type Scope } from "../kernel/scope.ts";
import type { Wait } from "../kernel/wait.ts";
import { readerFrom, type WebReadable } from "../streams/from-foreign.ts";
import type { StreamReader } from "../streams/reader.ts";
import { toWebStream } from "../streams/to-foreign.ts";
import { bindSignal, checkSignal } from "../tasks/abort.ts";
import { SIGNAL } from "../tasks/timeouts.ts";

type HostFetch = typeof globalThis.fetch;
type FetchArguments = Parameters<HostFetch>;
type FetchInit = NonNullable<FetchArguments[1]>;

const fetchAtLoad = globalThis.fetch as HostFetch | undefined;

/**
 * The host's `fetch`, bound to the scope in which it is called: a deadline or a cancellation of
 * that scope ends the request, whether it waits for the headers or its body is being read. The
 * request is over when the body has been read to its end; a body that has not been by the end of
 * the scope is cancelled, so no connection is left behind. Read it in the scope in which you call
 * `fetch`.
 *
 * Takes what the host's `fetch` takes, and gives the host's Response: redirects, streaming,
 * `clone()`, connections that are used again, and errors are the host's. `text()`, `json()` and so
 * on are operations: a deadline around them alone counts as well, and ends the request. A `signal`
 * in `init` aborts too, and its reason comes out as it is. A body that is a stream or an async
 * iterable needs no `duplex`, and is closed if the request ends before it. On a virtual loop time
 * holds still meanwhile. Rejects with an InvalidStateError where the host has no `fetch`. Source:
 * the Fetch Standard, whose signals are replaced by scopes.
 *
 * @example
 * const text = await asyncio.timeout(5, async () => {
 *   const response = await asyncio.fetch("data:,hello");
 *   return await response.text();
 * });
 * assert.equal(text, "hello");
 */
export async function fetch(...[input, init]: FetchArguments): Promise<Response> {
  const scope = here();
  const stop = scope.interruption("fetch");
  if (stop !== undefined) await stop;
  const signal = signalOf(input, init);
  checkOptions("`fetch`", { signal }, SIGNAL);
  checkSignal(signal);
  const exchange = new Exchange(scope, urlOf(input), signal);
  return await exchange.send(hostFetch(), input, init);
}

/** Looked up in each call: tests put a function of their own there. */
function hostFetch(): HostFetch {
  const now = globalThis.fetch as HostFetch | undefined;
  const found = (now as unknown) === fetch ? fetchAtLoad : now;
  if (typeof found === "function") return found;
  throw new InvalidStateError(
    `\`fetch\` needs the \`fetch\` of the host, and there is none${advice("Node 20, Deno and Bun have it; an environment for tests, such as jsdom, may hide it")}`,
  );
}

/** The caller's own signal: that of `init`, else that of a Request. */
function signalOf(
  input: FetchArguments[0],
  init: FetchArguments[1],
): FetchInit["signal"] & (AbortSignal | undefined) {
  const given = init?.signal;
  if (given !== undefined) return given ?? undefined;
  return (input as Partial<Request> | undefined)?.signal;
}

/** Undefined where the host will say what is wrong with it. */
function urlOf(input: FetchArguments[0]): URL | undefined {
  try {
    return new URL(typeof input === "object" && "url" in input ? input.url : String(input));
  } catch {
    return undefined;
  }
}

/** For reports: without query and credentials, which may be secret. */
function describeUrl(url: URL | undefined): string {
  if (url === undefined) return "a URL";
  const { origin, pathname, protocol } = url;
  return LOCAL.includes(protocol) || origin === "null" ? `a ${protocol} URL` : origin + pathname;
}

/** Bodies that come from memory. There is no request to abort, and Node crashes if one tries. */
const LOCAL: readonly string[] = ["data:", "blob:"];

/** The requests of a scope that are not over. */
const requests: WeakMap<Scope, Set<Exchange>> = new WeakMap();

function requestsOf(scope: Scope): Set<Exchange> {
  const known = requests.get(scope);
  if (known !== undefined) return known;
  const open = new Set<Exchange>();
  requests.set(scope, open);
  scope.watch({
    cancelled(cancellation) {
      for (const exchange of [...open]) exchange.cancelled(cancellation);
    },
    closed() {
      for (const exchange of [...open]) exchange.scopeEnded();
    },
  });
  return open;
}

/** Responses that are not referenced any more: their bodies will never be read. */
const dropped: FinalizationRegistry<Exchange> = /* @__PURE__ */ new FinalizationRegistry(
  (exchange) => exchange.bodyEnded(true),
);

/** One request. It must not refer to its response, which could not be collected then. */
class Exchange {
  readonly scope: Scope;
  readonly #address: string;
  readonly #isLocal: boolean;
  readonly #aborting: Aborting;
  readonly #release: () => void;
  /** Bodies that have not been read to their end: the response's, and those of its clones. */
  #bodies = 1;
  #source: StreamReader | undefined = undefined;
  /** Set if it ended before its body: what reading it rejects with. */
  #failure: { readonly error: unknown } | undefined = undefined;
  #wait: Wait<Response> | undefined = undefined;
  #isOver = false;

  constructor(scope: Scope, url: URL | undefined, signal: AbortSignal | undefined) {
    this.scope = scope;
    this.#address = describeUrl(url);
    this.#isLocal = url !== undefined && LOCAL.includes(url.protocol);
    this.#aborting = new Aborting(scope);
    this.#release = bindSignal({ cancel: (reason) => this.#signalAborted(reason) }, signal);
    requestsOf(scope).add(this);
  }

  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Throws what it ended with, if it did before its body. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  describeWait(): string {
    return `fetch of ${this.#address}`;
  }

  async send(
    fetch: HostFetch,
    input: FetchArguments[0],
    init: FetchArguments[1],
  ): Promise<Response> {
    const { scope } = this;
    try {
      const [target, options] = this.#argumentsFor(input, init);
      const called: unknown = fetch(target, options); // what a test has put there may give anything
      const answer = isThenable(called)
        ? (called as Promise<Response>)
        : Promise.resolve(called as Response);
      const wait = park<Response>(scope, this, () => true); // the scope tells us of cancellations
      this.#wait = wait;
      wait.waitsOutside();
      cancelIfDue(wait as Wait);
      answer.then(
        (response) => {
          this.#wait = undefined; // it would keep the response alive
          if (!wait.resume(this.dress(response))) cancelBody(response);
        },
        (error) => {
          if (!wait.fail(error)) failureCameLate(scope, "`fetch`", error);
        },
      );
      return await wait.promise;
    } catch (error) {
      this.#end({ error });
      throw error;
    }
  }

  #argumentsFor(input: FetchArguments[0], init: FetchArguments[1]): [FetchArguments[0], FetchInit] {
    const { signal } = this.#aborting.controller;
    if (init === undefined || init === null) return [input, { signal }];
    const prototype: unknown = Object.getPrototypeOf(init);
    // A Request, or another object with getters, is for the host to read.
    if (prototype !== Object.prototype && prototype !== null)
      return [new Request(input, init), { signal }];
    const { body } = init;
    if (!isStream(body)) return [input, { ...init, signal }];
    this.#source = readerFrom(body);
    const stream = toWebStream(this.#source);
    return [input, { ...init, body: stream, duplex: "half", signal } as FetchInit];
  }

  // --- the end

  cancelled(cancellation: Cancellation): void {
    if (!this.#isLocal) this.#aborting.abort(cancellation);
    this.#end({ error: new CancelledError(cancellation) });
  }

  #signalAborted(reason: unknown): void {
    this.#abort(reason);
    this.#wait?.fail(reason);
  }

  /** The scope has ended: nothing in it will read the body. */
  scopeEnded(): void {
    const where = this.scope.label === "task" ? "the task" : this.scope.label;
    this.#abort(
      new InvalidStateError(
        `the body of ${this.#address} was cut off: the scope that \`fetch\` was called in (${where}) has ended${advice("Read the body inside of it")}`,
      ),
    );
  }

  #abort(error: unknown): void {
    if (!this.#isLocal) this.#aborting.abortWith(error);
    this.#end({ error });
  }

  /** One of the bodies has come to its end; or, `isUnread`, it will not be read. */
  bodyEnded(isUnread = false): void {
    if (--this.#bodies > 0 || this.#isOver) return;
    if (isUnread && !this.#isLocal) this.#aborting.abortWith(undefined);
    this.#end(undefined);
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#release();
    requestsOf(this.scope).delete(this);
    // The host may still be sending: a mere end would make what was sent look whole. Nothing
    // happens if it was taken whole.
    this.#source?.stream.abort();
    this.#source = undefined;
  }

  // --- the response

  /**
   * Binds a response of the host to this request. What a test has put in its place is left as it
   * is.
   */
  dress(response: Response): Response {
    if (!(response instanceof Response)) {
      this.bodyEnded();
      return response;
    }
    const host: Record<string, unknown> = Object.getPrototypeOf(response);
    if (response.body === null) {
      this.bodyEnded();
      return response;
    }
    const body = new Body(this, response);
    for (const name of ["text", "json", "arrayBuffer", "blob", "bytes", "formData"]) {
      const read = host[name];
      if (typeof read !== "function") continue; // Node 20 has no `bytes`
      define(response, name, () => body.read(name, () => read.call(response)));
    }
    define(response, "clone", () => {
      body.checkUnlocked("clone");
      const copy = (host.clone as Response["clone"]).call(response);
      body.cloned();
      if (this.#isOver && this.#failure === undefined) return copy;
      this.#bodies++;
      return this.dress(copy);
    });
    Object.defineProperty(response, "body", { configurable: true, get: () => body.stream });
    dropped.register(response, this, body);
    return response;
  }

  /** Reads one of the bodies as a whole: an operation. */
  read<T>(body: Body, start: () => PromiseLike<T>): Promise<T> {
    const scope = here();
    const subject = { describeWait: () => `the body of ${this.#address}` };
    const stop = scope.interruption(subject);
    if (stop !== undefined) return stop;
    if (this.#failure !== undefined && !body.isOver) return Promise.reject(this.#failure.error);
    const wait = park<T>(scope, subject, (_wait, cancellation) => {
      // What the scope of the request is told, it hears by itself. Another body may still be
      // wanted.
      if (this.#bodies === 1) this.cancelled(cancellation);
      else body.ended();
      return true;
    });
    wait.waitsOutside();
    start().then(
      (value) => {
        body.ended();
        wait.resume(value);
      },
      (error) => {
        body.ended();
        wait.fail(this.#failure === undefined ? error : this.#failure.error);
      },
    );
    return wait.promise;
  }
}

/** The body of a response, or of a clone of it. */
class Body {
  readonly #exchange: Exchange;
  readonly #response: Response;
  #stream: ReadableStream<Uint8Array> | undefined = undefined;
  isOver = false;

  constructor(exchange: Exchange, response: Response) {
    this.#exchange = exchange;
    this.#response = response;
  }

  read<T>(name: string, start: () => PromiseLike<T>): Promise<T> {
    try {
      this.checkUnlocked(name);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#exchange.read(this, start);
  }

  /** @throws TypeError if the stream is being read: the host knows its own one alone. */
  checkUnlocked(call: string): void {
    if (this.#stream?.locked !== true) return;
    throw new TypeError(
      `\`response.${call}\` was called while the body is locked by a reader of its stream${advice("Call it first, or read on there")}`,
    );
  }

  /**
   * The response has another stream then, and code that has kept this one finds it locked, as with
   * the host's own.
   */
  cloned(): void {
    this.#stream?.getReader();
    this.#stream = undefined;
  }

  ended(): void {
    if (this.isOver) return;
    this.isOver = true;
    dropped.unregister(this);
    this.#exchange.bodyEnded();
  }

  /**
   * The host's stream behind one that tells when it has ended. Touches the host's only when it is
   * read itself.
   */
  get stream(): ReadableStream<Uint8Array> {
    if (this.#stream !== undefined) return this.#stream;
    const source = hostBody(this.#response);
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    this.#stream = new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        reader ??= source.getReader();
        try {
          this.#exchange.check();
          let { done, value } = await reader.read();
          while (!done && value?.length === 0) ({ done, value } = await reader.read());
          if (!done) return controller.enqueue(value as NonNullable<typeof value>);
          this.ended();
          controller.close();
          controller.byobRequest?.respond(0);
        } catch (error) {
          this.ended();
          throw error;
        }
      },
      cancel: async (reason) => {
        const isCut = this.#exchange.failure !== undefined;
        this.ended();
        await (reader ?? source).cancel(reason).catch((error) => {
          if (!isCut) throw error; // else it cannot be cancelled any more, and need not
        });
      },
    });
    return this.#stream;
  }
}

/**
 * The stream under our `body`. It is asked of the class that the response is of, which need not be
 * the global one: web frameworks put a class of their own there, `@hono/node-server` for instance.
 */
function hostBody(response: Response): ReadableStream<Uint8Array> {
  return Reflect.get(Object.getPrototypeOf(response), "body", response);
}

function define(response: Response, name: string, value: unknown): void {
  Object.defineProperty(response, name, { configurable: true, writable: true, value });
}

function cancelBody(response: Response): void {
  response.body?.cancel().then(undefined, () => {}); // the request was aborted: it may be gone already
}

function isStream(body: unknown): body is WebReadable | AsyncIterable<Uint8Array> {
  if (typeof body !== "object" || body === null) return false;
  const { getReader } = body as { getReader?: unknown };
  return typeof getReader === "function" || Symbol.asyncIterator in body;
}
