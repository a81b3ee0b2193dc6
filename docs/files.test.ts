// The table of docs/guide/files.md: each row is a call, and says whether it stops when its signal
// aborts.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as promises from "node:fs/promises";
import { type FileHandle, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** What a row has to work with. Each call gets a folder and an open file of its own. */
interface Place {
  readonly folder: string;
  readonly path: string;
  readonly handle: FileHandle;
  /** Passed to functions that take no signal, as well. */
  readonly options: { readonly signal: AbortSignal };
}

/** More than one piece: the signal is looked at between two. */
const LONG = "new".repeat(400_000);

const calls: Record<string, (place: Place) => unknown> = {
  "readFile(path, { signal })": ({ path, options }) => promises.readFile(path, options),
  "writeFile(path, data, { signal })": ({ path, options }) =>
    promises.writeFile(path, LONG, options),
  "appendFile(path, data, { signal })": ({ path, options }) =>
    promises.appendFile(path, LONG, options as never),
  "handle.readFile({ signal })": ({ handle, options }) => handle.readFile(options),
  "handle.writeFile(data, { signal })": ({ handle, options }) => handle.writeFile(LONG, options),
  "handle.appendFile(data, { signal })": ({ handle, options }) =>
    handle.appendFile(LONG, options as never),
  "handle.readLines({ signal })": async ({ path, options }) => {
    const handle = await promises.open(path);
    for await (const _ of handle.readLines(options as never));
  },
  "createReadStream(path, { signal })": ({ path, options }) =>
    readAll(fs.createReadStream(path, options)),
  "createWriteStream(path, { signal })": ({ path, options }) => {
    const stream = fs.createWriteStream(path, options);
    stream.end(LONG);
    return new Promise<void>((resolve, reject) =>
      stream.on("error", reject).on("finish", () => resolve()),
    );
  },
  "pipeline(source, target, { signal })": ({ path, options }) =>
    pipeline(Readable.from([LONG]), fs.createWriteStream(path), options),
  "watch(path, { signal })": async ({ folder, options }) => {
    for await (const _ of promises.watch(folder, options));
  },
  "open(path)": async ({ path }) => await (await promises.open(path)).close(),
  "handle.read(buffer)": ({ handle, options }) =>
    handle.read({ buffer: new Uint8Array(5), ...options }),
  "handle.write(buffer)": ({ handle, options }) => handle.write(LONG, options as never),
  "handle.close()": ({ handle }) => handle.close(),
  "stat(path)": ({ path, options }) => promises.stat(path, options as never),
  "readdir(path)": ({ folder, options }) => promises.readdir(folder, options as never),
  "opendir(path)": async ({ folder, options }) =>
    await (await promises.opendir(folder, options as never)).close(),
  "mkdir(path)": ({ folder, options }) => promises.mkdir(join(folder, "new"), options as never),
  "rename(from, to)": ({ folder, path }) => promises.rename(path, join(folder, "new")),
  "copyFile(from, to)": ({ folder, path }) => promises.copyFile(path, join(folder, "new")),
  "cp(from, to)": ({ folder, path, options }) =>
    promises.cp(path, join(folder, "new"), options as never),
  "rm(path)": ({ path, options }) => promises.rm(path, options as never),
};

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

const page = await readFile(fileURLToPath(new URL("./guide/files.md", import.meta.url)), "utf8");
const rows = [...page.matchAll(/^\| `(.+?)` \| (yes|no) \| (.+) \|$/gm)];

test("the table has a row for each call", () => {
  assert.deepEqual(rows.map(([, call = ""]) => call).sort(), Object.keys(calls).sort());
});

for (const [, call = "", stops, left = ""] of rows) {
  test(`${call}: ${stops}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "asyncio-ts-files-"));
    const path = join(folder, "file");
    await promises.writeFile(path, "old");
    const handle = await promises.open(path, "r+");
    const controller = new AbortController();
    const { signal } = controller;
    const reason = new Error("stop");
    try {
      // Aborted in the call's own turn of the host: at most one piece has been read or written by
      // then.
      const ended = (async () =>
        await calls[call]?.({ folder, path, handle, options: { signal } }))();
      controller.abort(reason);
      const error = await ended.then(
        () => undefined,
        (error: unknown) => error as Error,
      );

      if (stops === "no") assert.equal(error, undefined);
      else assert.deepEqual([error?.name, error?.cause], ["AbortError", reason]);
      if (left.startsWith("the handle, open")) assert.equal((await handle.stat()).isFile(), true);
    } finally {
      await handle.close().catch(() => {});
      await rm(folder, { recursive: true });
    }
  });
}

test("a `writeFile` that is cut off leaves what was written so far", async () => {
  const folder = await mkdtemp(join(tmpdir(), "asyncio-ts-files-"));
  const path = join(folder, "file");
  await promises.writeFile(path, "old content");
  const controller = new AbortController();
  async function* pieces(): AsyncGenerator<string> {
    yield "new";
    controller.abort();
    yield " content";
  }

  const writing = promises.writeFile(path, pieces(), { signal: controller.signal });

  await assert.rejects(writing, { name: "AbortError" });
  assert.equal(await readFile(path, "utf8"), "new");
  await rm(folder, { recursive: true });
});

test("a read stream whose signal has aborted already never closes what it has opened", async () => {
  let closed = false;
  const opened = Promise.withResolvers<number>();
  const spy = {
    ...fs,
    open: (path: string, flags: string, mode: number, told: (e: unknown, fd: number) => void) =>
      fs.open(path, flags, mode, (error, fd) => {
        told(error, fd);
        opened.resolve(fd);
      }),
    close: (fd: number, told: (error: unknown) => void) => {
      closed = true;
      fs.close(fd, told);
    },
  };
  const path = fileURLToPath(import.meta.url);
  const stream = fs.createReadStream(path, { signal: AbortSignal.abort(), fs: spy as never });

  await assert.rejects(readAll(stream), { name: "AbortError" });
  const fd = await opened.promise;
  await new Promise((resolve) => setImmediate(resolve));

  assert.equal(closed, false, "the host has mended it: take the trap off the page");
  fs.closeSync(fd);
});
