// The library in a place that is no Node, Deno or Bun: what the program is told there.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import { contextStorage } from "../../src/ports/context-storage.ts";

const oneSentence =
  /^asyncio-ts runs on Node 20\.19 or newer, Deno 2 and Bun, and not here.*\. Import it only in code that runs on a server$/;

/** Calls it where the globals are `globals`. */
function inPlaceWith(globals: Record<string, unknown>): unknown {
  const before = Object.getOwnPropertyDescriptors(globalThis);
  for (const name of ["process", "navigator"]) {
    Object.defineProperty(globalThis, name, { value: globals[name], configurable: true });
  }
  try {
    return contextStorage();
  } catch (error) {
    return error;
  } finally {
    Object.defineProperty(globalThis, "process", before.process);
    Object.defineProperty(globalThis, "navigator", before.navigator);
  }
}

function isRefusal(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_ASYNCIO_NO_HOST";
}

for (const [place, globals, found] of [
  ["a browser", { navigator: { userAgent: "Mozilla/5" } }, "(Mozilla/5)."],
  ["a bundle with a stand-in for process", { process: { env: {}, versions: {} } }, "here."],
  ["a Node that is too old", { process: { versions: { node: "18.20.0" } } }, "(Node 18.20.0)."],
  ["an edge function without a process", {}, "here."],
  [
    "a worker whose storage cannot be entered",
    {
      navigator: { userAgent: "Cloudflare-Workers" },
      process: {
        versions: { node: "24.0.0" },
        getBuiltinModule: () => ({
          AsyncLocalStorage: class extends AsyncLocalStorage<unknown> {
            override enterWith(): void {
              throw new Error("not implemented");
            }
          },
        }),
      },
    },
    "(Cloudflare-Workers).",
  ],
] as const) {
  test(`${place} is told in one sentence where the library runs`, () => {
    const error = inPlaceWith(globals);

    assert.ok(isRefusal(error));
    assert.match(error.message, oneSentence);
    assert.ok(error.message.includes(found), error.message);
  });
}

test("a page of a browser that a test framework imitates on Node has what it needs", () => {
  const { process } = globalThis;

  assert.equal(
    inPlaceWith({ process, navigator: { userAgent: "Mozilla/5.0 jsdom" } }),
    AsyncLocalStorage,
  );
});

test("what a place is tried with is in no context any more", () => {
  let disabled = 0;
  const process = {
    getBuiltinModule: () => ({
      AsyncLocalStorage: class extends AsyncLocalStorage<unknown> {
        override disable(): void {
          disabled++;
        }
      },
    }),
  };

  assert.notEqual(inPlaceWith({ process }), undefined);
  assert.equal(disabled, 1);
});
