import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextMacrotask } from "node:timers/promises";
import * as asyncio from "../../src/index.ts";
import { collectGarbage } from "../gc.ts";
import { collectReports, rejection, virtual } from "../virtual.ts";

const {
  CancelledError,
  CancelScope,
  createTask,
  Event,
  InvalidStateError,
  moveOnAfter,
  sleep,
  TimeoutError,
  timeout,
} = asyncio;

/** Calls outside every scope. */
const inRoot: <R>(fn: () => R) => R = AsyncLocalStorage.snapshot();

/** A server on this machine, and what it has seen. */
class Site extends EventEmitter {
  readonly sockets: Set<Socket> = new Set();
  connections = 0;
  url = "";
  readonly requests: { readonly path: string; readonly body: string; readonly whole: boolean }[] =
    [];
  readonly #server = createServer((request, response) => this.#answer(request, response));

  async open(): Promise<void> {
    this.#server.on("connection", (socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on("close", () => {
        this.sockets.delete(socket);
        this.emit("closed");
      });
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until `count` requests have ended. */
  async ended(count: number): Promise<void> {
    while (this.requests.length < count) await once(this, "ended");
  }

  /** Waits until no client has a connection. */
  async quiet(): Promise<void> {
    while (this.sockets.size > 0) await once(this, "closed");
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
      this.emit("data");
    });
    request.on("close", () => {
      this.requests.push({ path, body, whole: request.complete });
      this.emit("ended");
    });
    request.on("error", () => {});
    if (path === "/never") return void this.emit("asked");
    if (path === "/moved")
      return void response.writeHead(302, { location: "/whole" }).end("over there");
    if (path === "/json") return void response.end('{"answer":42}');
    if (path === "/none") return void response.writeHead(204).end();
    if (path === "/echo") return void request.on("end", () => response.end(body));
    if (path === "/held") {
      response.write("held ");
      return void this.once("go", () => response.end("back"));
    }
    if (path === "/half") {
      response.write("half");
      return void this.emit("asked");
    }
    if (path === "/long") {
      response.write("x".repeat(100_000));
      return void setTimeout(() => response.end("y".repeat(100_000)), 2);
    }
    response.end("whole");
  }
}

type Body = (site: Site, reports: asyncio.ExceptionContext[]) => Promise<void>;

/** Declares a test with a server, on the real host. Afterwards nothing is left or reported. */
function withSite(name: string, body: Body, options: asyncio.EventLoopOptions = {}): void {
  test(name, { timeout: 20_000 }, async () => {
    const site = new Site();
    await site.open();
    const loop = new asyncio.HostLoop(options);
    const reports = collectReports(loop);
    try {
      await asyncio.run(() => body(site, reports), { loop, signals: false });
      assert.deepEqual(reports, []);
      assert.equal(loop.statistics().timers, 0);
    } finally {
      site.close();
    }
  });
}

describe("fetch is the host's", () => {
  withSite("it gives the Response of the host, which is read as a whole", async ({ url }) => {
    const response = await asyncio.fetch(`${url}/json`);

    assert.ok(response instanceof Response);
    assert.deepEqual([response.ok, response.status, response.url], [true, 200, `${url}/json`]);
    assert.deepEqual(await response.json(), { answer: 42 });
    assert.equal(response.bodyUsed, true);
    assert.ok((await rejection(response.text())) instanceof TypeError); // it was read already
  });

  withSite("every way to read a body gives what the host's gives", async ({ url }) => {
    const get = (): Promise<Response> => asyncio.fetch(`${url}/whole`);

    assert.equal(await (await get()).text(), "whole");
    assert.equal((await (await get()).arrayBuffer()).byteLength, 5);
    assert.equal((await (await get()).blob()).size, 5);
    assert.equal((await (await get()).bytes()).length, 5);
    assert.ok((await rejection((await get()).json())) instanceof SyntaxError);
    assert.ok((await rejection((await get()).formData())) instanceof TypeError);
  });

  withSite("a redirect is followed, or not, as `init` says", async ({ url }) => {
    const followed = await asyncio.fetch(new URL("/moved", url));
    assert.deepEqual([followed.redirected, followed.url], [true, `${url}/whole`]);
    assert.equal(await followed.text(), "whole");

    const stopped = await asyncio.fetch(`${url}/moved`, { redirect: "manual" });
    assert.equal(stopped.status, 302);
    assert.equal(await stopped.text(), "over there");
  });

  withSite("a Request is sent, with `init` or as `init`", async ({ url }) => {
    const request = new Request(`${url}/echo`, { method: "POST", body: "hello" });
    assert.equal(await (await asyncio.fetch(request.clone())).text(), "hello");
    assert.equal(await (await asyncio.fetch(request.clone(), { body: "other" })).text(), "other");
    const init = new Request("http://elsewhere", { method: "POST", body: "as init" });
    assert.equal(await (await asyncio.fetch(`${url}/echo`, init)).text(), "as init");
  });

  withSite("its errors come through as they are", async () => {
    const refused = await rejection(asyncio.fetch("http://127.0.0.1:1/"));
    assert.ok(refused instanceof TypeError && refused.cause instanceof Error);
    assert.ok((await rejection(asyncio.fetch("/relative"))) instanceof TypeError);
    assert.ok((await rejection(asyncio.fetch(undefined as never))) instanceof TypeError);
    assert.ok(
      (await rejection(asyncio.fetch("data:,x", { method: "BAD METHOD" }))) instanceof TypeError,
    );
  });

  withSite("bodies that were read leave their connection to the next request", async (site) => {
    for (let count = 0; count < 5; count++) {
      const response = await asyncio.fetch(`${site.url}/whole`);
      if (count % 2 === 0) await response.text();
      else for await (const _ of response.body ?? []);
      await nextMacrotask(); // by then the host has put it back
    }
    const { status } = await asyncio.fetch(`${site.url}/none`);

    assert.equal(status, 204);
    assert.equal(site.connections, 1);
  });

  withSite("outside of every run it works as well", async ({ url }) => {
    const work = async (): Promise<string> => (await asyncio.fetch(`${url}/whole`)).text();

    assert.equal(await inRoot(work), "whole");
  });
});

describe("a body that was looked at", () => {
  withSite("can be cloned, and both can be read as streams", async ({ url }) => {
    const response = await asyncio.fetch(`${url}/whole`);
    const before = response.body;

    const copy = response.clone();

    assert.equal(before?.locked, true);
    assert.equal(await new Response(response.body).text(), "whole");
    assert.equal(await new Response(copy.body).text(), "whole");
  });

  withSite("cannot be read or cloned by others once its stream has a reader", async ({ url }) => {
    const response = await asyncio.fetch(`${url}/whole`);
    const reader = response.body?.getReader();

    await assert.rejects(response.text(), /`response.text` was called while the body is locked/);
    assert.throws(() => response.clone(), /`response.clone` was called while the body is locked/);
    reader?.releaseLock();
    assert.equal(await response.text(), "whole");
  });
});

describe("the request belongs to the scope of the call", () => {
  withSite("a deadline ends it while it waits for the headers", async (site) => {
    const error = await rejection(timeout(0.005, () => asyncio.fetch(`${site.url}/never`)));

    assert.ok(error instanceof TimeoutError);
    await site.quiet();
  });

  withSite("a cancellation ends it while it waits for the headers", async (site) => {
    const task = createTask(() => asyncio.fetch(`${site.url}/never`));
    await once(site, "asked");
    assert.deepEqual(task.waitingFor(), [`fetch of ${site.url}/never`]);
    task.cancel("enough");

    const error = await rejection(task);

    assert.ok(error instanceof CancelledError && error.reason === "enough");
    await site.quiet();
  });

  const readers: Record<string, (response: Response) => PromiseLike<unknown>> = {
    "text()": (response) => response.text(),
    "json()": (response) => response.json(),
    "clone().text()": (response) => Promise.all([response.clone().text(), response.text()]),
    "a loop over its body": async (response) => {
      for await (const _ of response.body ?? []);
    },
    "a reader of its body": async (response) => {
      const reader = response.body?.getReader();
      while ((await reader?.read())?.done === false);
    },
    "a BYOB reader of its body": async (response) => {
      const reader = response.body?.getReader({ mode: "byob" });
      while ((await reader?.read(new Uint8Array(10)))?.done === false);
    },
    "readerFrom(body)": async (response) => {
      await using reader = asyncio.readerFrom(response.body ?? "");
      while ((await reader.read(10)).length > 0);
    },
    "a pipe through a transformation": async (response) => {
      const text = response.body?.pipeThrough(new TextDecoderStream() as never);
      for await (const _ of text ?? []);
    },
  };
  for (const [how, read] of Object.entries(readers)) {
    withSite(`a deadline ends ${how}`, async (site) => {
      const error = await rejection(
        timeout(0.02, async () => await read(await asyncio.fetch(`${site.url}/half`))),
      );

      assert.ok(error instanceof TimeoutError, String(error));
      await site.quiet();
    });

    withSite(`a cancellation ends ${how}, once`, async (site) => {
      let cleaned = "";
      const task = createTask(async () => {
        const response = await asyncio.fetch(`${site.url}/half`);
        site.emit("headers");
        try {
          await timeout(3600, async () => await read(response));
        } finally {
          cleaned = await sleep(0, "cleaned up");
        }
      });
      await once(site, "headers");
      await sleep(0.002);
      task.cancel("enough");

      const error = await rejection(task);

      assert.ok(error instanceof CancelledError && error.reason === "enough", String(error));
      assert.equal(cleaned, "cleaned up");
      await site.quiet();
    });
  }

  withSite("a deadline around the reading alone ends the request too", async (site) => {
    const response = await asyncio.fetch(`${site.url}/half`);
    const scope = new CancelScope();
    const reading = scope.run(() => response.text());
    // Not before the read has begun: it would be refused then, and the request go on.
    scope.deadline = asyncio.getRunningLoop().time() + 0.005;
    await reading;

    assert.equal(scope.cancelled, true);
    await site.quiet();
  });

  withSite("of two bodies one may be given up alone", async (site) => {
    const response = await asyncio.fetch(`${site.url}/held`);
    const copy = response.clone();
    const task = createTask(() => copy.text());
    await sleep(0);
    await nextMacrotask();
    task.cancel();
    await rejection(task);
    site.emit("go");

    assert.equal(await response.text(), "held back");
  });

  withSite("it ends with the scope when nobody has read its body", async (site) => {
    const response = await timeout(3600, () => asyncio.fetch(`${site.url}/half`));
    await site.quiet();

    const error = await rejection(response.text());

    assert.ok(error instanceof InvalidStateError);
    assert.equal(
      error.message,
      `the body of ${site.url}/half was cut off: the scope that \`fetch\` was called in (timeout) has ended. Read the body inside of it`,
    );
    const stream = await rejection((response.body as ReadableStream).getReader().read());
    assert.equal((stream as Error).message, error.message);
  });

  withSite("a body that lies in memory is treated alike", async () => {
    const blob = URL.createObjectURL(new Blob(["hello"]));
    for (const url of ["data:,hello", blob]) {
      const response = await timeout(3600, () => asyncio.fetch(url));
      const streamed = await timeout(3600, () => asyncio.fetch(url));
      const message = /^the body of a (data|blob): URL was cut off: .* Read the body inside of it$/;
      assert.match(((await rejection(response.text())) as Error).message, message);
      const reading = (streamed.body as ReadableStream).getReader().read();
      assert.match(((await rejection(reading)) as Error).message, message);
      const own = new AbortController();
      const aborted = await asyncio.fetch(url, { signal: own.signal });
      own.abort(new Error("own"));
      assert.equal(((await rejection(aborted.text())) as Error).message, "own");
    }
    URL.revokeObjectURL(blob);
    await nextMacrotask();
  });

  withSite("also when its body was read in part, and cloned", async (site) => {
    await createTask(async () => {
      const response = await asyncio.fetch(`${site.url}/half`);
      response.clone();
      await response.body?.getReader().read();
    });

    await site.quiet();
  });

  withSite("a body that was read is good after the end of the scope", async ({ url }) => {
    const response = await timeout(3600, async () => {
      const response = await asyncio.fetch(`${url}/json`);
      await response.clone().text();
      return { response, data: await response.json() };
    });

    assert.deepEqual(response.data, { answer: 42 });
    assert.equal(response.response.status, 200);
  });

  withSite("the end of the scope does not reach the body of another one", async ({ url }) => {
    const outer = await asyncio.fetch(`${url}/long`);
    await moveOnAfter(0.001, async () => {
      await asyncio.fetch(`${url}/half`);
      await sleep(3600);
    });

    assert.equal((await outer.text()).length, 200_000);
  });

  withSite("a loser of a race gives its connection back", async (site) => {
    const winner = await asyncio.race(
      async () => (await asyncio.fetch(`${site.url}/whole`)).text(),
      async () => (await asyncio.fetch(`${site.url}/half`)).text(),
      async () => (await asyncio.fetch(`${site.url}/never`)).text(),
    );

    assert.equal(winner, "whole");
    const left = [...site.sockets].length;
    assert.ok(left <= 3);
    while (site.sockets.size > 1) await once(site, "closed"); // the winner's is kept alive
  });

  withSite("nothing is kept of a request that is over", async ({ url }) => {
    const ask = async (read: (response: Response) => unknown): Promise<WeakRef<Response>> => {
      const response = await asyncio.fetch(`${url}/whole`);
      await read(response);
      return new WeakRef(response);
    };
    const over = [
      await ask((response) => response.text()),
      await ask(async (response) => {
        for await (const _ of response.body ?? []);
      }),
      await ask((response) => response.body?.cancel()),
      await ask((response) =>
        Promise.all([response.clone().text(), response.json().catch(() => {})]),
      ),
    ];
    await sleep(0.001);
    await collectGarbage();

    assert.deepEqual(
      over.map((response) => response.deref()),
      [undefined, undefined, undefined, undefined],
    );
  });

  withSite("a pending cancellation sends nothing", async (site) => {
    assert.deepEqual(await moveOnAfter(0, () => asyncio.fetch(`${site.url}/whole`)), {
      cancelled: true,
    });
    assert.equal(site.connections, 0);
  });

  withSite("a pending cancellation comes before a body that is there", async ({ url }) => {
    const response = await asyncio.fetch(`${url}/whole`);
    const late = await moveOnAfter(0, () => response.text());

    assert.deepEqual(late, { cancelled: true });
    assert.equal(await response.text(), "whole");
  });
});

describe("the caller's own signal", () => {
  const reason = { any: "value" };

  withSite("aborts while the headers are waited for, with its reason", async (site) => {
    const controller = new AbortController();
    const running = rejection(asyncio.fetch(`${site.url}/never`, { signal: controller.signal }));
    await once(site, "asked");
    controller.abort(reason);

    assert.equal(await running, reason);
    await site.quiet();
  });

  const reads: Record<string, (response: Response) => PromiseLike<unknown>> = {
    "text()": (response) => response.text(),
    "its stream": async (response) => {
      for await (const _ of response.body ?? []);
    },
  };
  for (const [how, read] of Object.entries(reads)) {
    withSite(`aborts while the body is read by ${how}, with its reason`, async (site) => {
      const controller = new AbortController();
      const response = await asyncio.fetch(`${site.url}/half`, { signal: controller.signal });
      const reading = rejection(read(response));
      await nextMacrotask();
      controller.abort(reason);

      assert.equal(await reading, reason);
      await site.quiet();
    });
  }

  withSite("of a Request counts, unless `init` has another one", async (site) => {
    const [one, other] = [new AbortController(), new AbortController()];
    const request = new Request(`${site.url}/never`, { signal: one.signal });
    const running = rejection(asyncio.fetch(request));
    const replaced = rejection(asyncio.fetch(request, { signal: other.signal }));
    await once(site, "asked");
    one.abort(reason);
    assert.equal(await running, reason);
    await nextMacrotask();
    other.abort("another");
    assert.equal(await replaced, "another");
  });

  withSite("that has aborted already rejects before any effect", async (site) => {
    const signal = AbortSignal.abort(reason);

    assert.equal(await rejection(asyncio.fetch(`${site.url}/whole`, { signal })), reason);
    assert.equal(site.connections, 0);
  });

  withSite("keeps no listener when the request is over", async ({ url }) => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    }) as typeof add;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    }) as typeof remove;

    await (await asyncio.fetch(`${url}/whole`, { signal })).text();
    await rejection(asyncio.fetch("http://127.0.0.1:1/", { signal }));
    await timeout(3600, () => asyncio.fetch(`${url}/half`, { signal }));
    await moveOnAfter(0.003, () => asyncio.fetch(`${url}/never`, { signal }));
    for await (const _ of (await asyncio.fetch(`${url}/whole`, { signal })).body ?? []);
    await asyncio.fetch(`${url}/none`, { signal });

    assert.equal(listeners, 0);
  });

  withSite("is refused if it is none; null is none", async ({ url }) => {
    const wrong = await rejection(asyncio.fetch(url, { signal: 5 as never }));

    assert.equal((wrong as Error).message, "`fetch` expects `signal` of type AbortSignal, got 5");
    const aborted = new Request(`${url}/whole`, { signal: AbortSignal.abort() });
    const response = await asyncio.fetch(aborted, { signal: null });
    assert.equal(await response.text(), "whole");
  });
});

describe("a body that is sent", () => {
  withSite("may be a stream of the web, a Readable, or an async generator", async ({ url }) => {
    async function* generated(): AsyncGenerator<Uint8Array> {
      for (const part of ["one ", "two"]) {
        await sleep(0.001);
        yield new TextEncoder().encode(part);
      }
    }
    const { Readable } = await import("node:stream");
    const bodies = [
      generated(),
      Readable.from(generated()),
      ReadableStream.from(generated()),
      asyncio.toWebStream(asyncio.readerFrom(generated())),
    ];
    for (const body of bodies) {
      const response = await asyncio.fetch(`${url}/echo`, { method: "POST", body: body as never });
      assert.equal(await response.text(), "one two");
    }
  });

  withSite("is closed when the request is cancelled", async (site) => {
    const closed = new Event();
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield new Uint8Array(1000);
          await sleep(0.001);
        }
      } finally {
        closed.set();
      }
    }
    for (const body of [endless(), ReadableStream.from(endless())]) {
      const sending = createTask(() =>
        asyncio.fetch(`${site.url}/echo`, { method: "POST", body: body as never }),
      );
      await once(site, "data"); // the body is under way
      sending.cancel();
      assert.ok((await rejection(sending)) instanceof CancelledError);
      await closed.wait();
      closed.clear();
      await site.quiet(); // no more data of it comes
    }
    await site.ended(2);
    assert.deepEqual(
      site.requests.map(({ whole }) => whole),
      [false, false],
    );
  });

  withSite("is closed when the answer has come before all was sent", async ({ url }) => {
    let closed = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield new Uint8Array(10);
          await sleep(0.001);
        }
      } finally {
        closed++;
      }
    }
    for (const path of ["/whole", "/none"]) {
      const response = await asyncio.fetch(url + path, {
        method: "POST",
        body: endless() as never,
      });
      await response.text();
      while (closed === 0) await sleep(0.001);
      closed = 0;
    }
  });

  withSite("that fails fails the request", async ({ url }) => {
    const failure = new Error("no paper");
    // biome-ignore lint/correctness/useYield: it fails first
    async function* failing(): AsyncGenerator<Uint8Array> {
      await sleep(0.001);
      throw failure;
    }

    const error = await rejection(
      asyncio.fetch(`${url}/echo`, { method: "POST", body: failing() as never }),
    );

    assert.ok(error === failure || (error as Error).cause === failure, String(error));
  });
});

describe("in place of the host's fetch", () => {
  /** Calls `body` while `globalThis.fetch` is `replacement`. */
  async function replaced(replacement: unknown, body: () => Promise<void>): Promise<void> {
    const { fetch } = globalThis;
    globalThis.fetch = replacement as typeof fetch;
    try {
      await body();
    } finally {
      globalThis.fetch = fetch;
    }
  }

  test(
    "a test may put a function that gives anything",
    virtual(async () => {
      const data = { answer: 42 };
      const fake = Object.freeze({ ok: true, json: async () => data });
      for (const replacement of [async () => fake, () => fake]) {
        await replaced(replacement, async () => {
          assert.equal(await (await asyncio.fetch("https://example.org")).json(), data);
        });
      }
    }),
  );

  test(
    "a Response that a test has made is bound to the scope, too",
    virtual(async () => {
      const never = new ReadableStream({ pull: () => new Promise(() => {}) });
      await replaced(
        async () => new Response(never),
        async () => {
          const task = createTask(async () => (await asyncio.fetch("https://example.org")).text());
          await nextMacrotask();
          assert.deepEqual(task.waitingFor(), ["the body of https://example.org/"]);
          task.cancel();

          assert.ok((await rejection(task)) instanceof CancelledError);
        },
      );
    }),
  );

  test("a request whose response is collected unread is aborted", async () => {
    let signal: AbortSignal | undefined;
    const never = (_input: unknown, init: RequestInit): Promise<Response> => {
      signal = init.signal ?? undefined;
      return Promise.resolve(new Response(new ReadableStream({ pull: () => endless })));
    };
    const endless = new Promise<void>(() => {});
    const ask = async (): Promise<void> => {
      await asyncio.fetch("https://example.org");
    };
    await asyncio.run(
      () =>
        replaced(never, async () => {
          await ask();
          await sleep(0.001);
          assert.equal(signal?.aborted, false);
          await collectGarbage();

          assert.equal(signal?.aborted, true);
        }),
      { signals: false },
    );
  });

  test("our own stands for the host's", async () => {
    await replaced(asyncio.fetch, async () => {
      assert.equal(await (await globalThis.fetch("data:,hello")).text(), "hello");
    });
  });

  test(
    "nothing is an error that says where there is one",
    virtual(async () => {
      await replaced(undefined, async () => {
        const error = await rejection(asyncio.fetch("data:,x"));

        assert.ok(error instanceof InvalidStateError);
        assert.match(error.message, /^`fetch` needs the `fetch` of the host, and there is none/);
      });
    }),
  );

  test(
    "reports show neither credentials nor queries",
    virtual(async () => {
      await replaced(
        () => new Promise(() => {}),
        async () => {
          const task = createTask(() =>
            asyncio.fetch("https://ann:secret@example.org/a?token=b#c"),
          );
          const data = createTask(() => asyncio.fetch("data:,secret"));
          await nextMacrotask();
          assert.deepEqual(
            [task, data].flatMap((one) => one.waitingFor()),
            ["fetch of https://example.org/a", "fetch of a data: URL"],
          );
          for (const one of [task, data]) {
            one.cancel();
            await rejection(one);
          }
        },
      );
    }),
  );
});
