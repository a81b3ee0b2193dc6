// Two copies of the library in one program. The second one is loaded from a folder of its own.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as a from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";

const home = mkdtempSync(join(tmpdir(), "asyncio-ts-copy-"));
after(() => rmSync(home, { recursive: true, force: true }));
cpSync(fileURLToPath(new URL("../../src", import.meta.url)), home, { recursive: true });
const b: typeof a = await import(pathToFileURL(join(home, "index.ts")).href);

/** What is printed while `body` runs, in a program where nothing has been reported yet. */
async function printedBy(body: () => PromiseLike<unknown>): Promise<string[]> {
  const program = globalThis as unknown as Record<symbol, { isReported: boolean }>;
  const copies = program[Symbol.for("asyncio-ts.copies.1")];
  assert.ok(copies !== undefined);
  copies.isReported = false;
  const printed = mock.method(console, "error", () => {});
  try {
    await body();
    return printed.mock.calls.map(({ arguments: [text] }) => String(text));
  } finally {
    printed.mock.restore();
  }
}

test("an operation of one copy in a scope of another is reported with both homes and the place", async () => {
  const [report = "", ...others] = await printedBy(() =>
    a.run(() => a.timeout(1, () => b.sleep(0.001))),
  );

  assert.deepEqual(others, []);
  assert.ok(report.includes(home), report);
  assert.ok(report.includes(fileURLToPath(new URL("../../src", import.meta.url))), report);
  assert.match(report, /at \S+copies\.test\.ts:\d+/);
  assert.match(report, /npm ls asyncio-ts/);
});

test("two copies that meet are reported once a program, whichever calls the other", async () => {
  const printed = await printedBy(async () => {
    await b.run(() => a.sleep(0));
    await a.run(() => b.sleep(0));
    await a.run(() => b.sleep(0));
  });

  assert.equal(printed.length, 1);
});

test("two copies that meet in virtual time are reported", async () => {
  const printed = await printedBy(() => a.run(() => b.sleep(0), { loop: new VirtualLoop() }));

  assert.equal(printed.length, 1);
});

for (const [what, body] of [
  ["run", () => b.run(async () => {})],
  ["a task", () => b.createTask(async () => {})],
  ["a task group", () => b.taskGroup(async () => {})],
  ["a lock", () => new b.Lock().acquire()],
  ["a queue", () => new b.Queue(1).put(1)],
] as const) {
  test(`${what} of one copy in a task of another is reported`, async () => {
    const printed = await printedBy(() =>
      a.run(() => a.createTask(async () => void (await body()))),
    );

    assert.equal(printed.length, 1);
  });
}

test("copies that run side by side are not reported", async () => {
  const printed = await printedBy(() =>
    Promise.all([
      a.run(() => a.timeout(1, () => a.sleep(0.001))),
      b.run(() => b.timeout(1, () => b.sleep(0.001))),
      b.sleep(0), // outside of every scope
    ]),
  );

  assert.deepEqual(printed, []);
});

test("a copy that is called when the scope of the other has ended is not reported", async () => {
  let late: Promise<void> | undefined;
  const printed = await printedBy(async () => {
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    await a.run(async () => {
      late = ended.then(() => b.sleep(0));
    });
    end();
    await late;
  });

  assert.deepEqual(printed, []);
});

test("a timer that a copy answers for in a scope of the other is not reported", async () => {
  const { openBubble }: typeof import("../../src/testing/bubble.ts") = await import(
    pathToFileURL(join(home, "testing/bubble.ts")).href
  );
  const { HostLoop }: typeof import("../../src/tasks/host-loop.ts") = await import(
    pathToFileURL(join(home, "tasks/host-loop.ts")).href
  );
  const close = openBubble(new HostLoop(), {}); // takes the place of the timers in the whole program
  const printed = await printedBy(() => a.run(async () => clearTimeout(setTimeout(() => {}, 1))));
  close();

  assert.deepEqual(printed, []);
});

test("the errors of one copy are instances of those of the other", async () => {
  const error = await b.timeout(0.001, () => b.sleep(1)).catch((error: unknown) => error);

  assert.ok(error instanceof a.TimeoutError);
  assert.ok(error.cause instanceof a.CancelledError);
});
