// Values of another realm: under Jest those of Node are, and a program with `node:vm` has some.

import assert from "node:assert/strict";
import { before, beforeEach, describe, type TestContext, test } from "node:test";
import { runInNewContext } from "node:vm";
import { formatThrown } from "../../src/errors/render.ts";
import { InlineExecutor, module } from "../../src/executors.ts";
import {
  CancelScope,
  connectionPair,
  createDatagramEndpoint,
  ExceptionGroup,
  openConnection,
  type ReadSource,
  readerFrom,
  run,
  runProcess,
  sleep,
  startServer,
  toWebStream,
  writerFrom,
} from "../../src/index.ts";
import { exponential, retry } from "../../src/patterns.ts";
import { explore, memoryStreamPair } from "../../src/testing.ts";
import { onBothLoops } from "../both-loops.ts";
import { rejection } from "../virtual.ts";

const foreign = <T>(code: string): T => runInNewContext(code);
const hello = foreign<Uint8Array>("new Uint8Array([104, 101, 108, 108, 111])");
const separator = foreign<Uint8Array>("new Uint8Array([108])");
const text = { encoding: "utf-8" };

describe("bytes of another realm are bytes", () => {
  assert.equal(hello instanceof Uint8Array, false);

  onBothLoops("to write, and to look for", async () => {
    const [near, far] = connectionPair();
    await near.writer.write(hello);
    await near.writer.writeLines([hello, "!"]);
    near.writer.close();

    assert.equal(await far.reader.readUntil(separator, text), "he");
    assert.equal(await far.reader.readUntil([separator], text), "");
    assert.equal(await far.reader.readLine(text), "ohello!");
    far.writer.close();
  });

  onBothLoops("in what a program reads from and writes to", async () => {
    const sources: ReadSource[] = [
      hello,
      [hello],
      foreign("[new Uint8Array([104, 105])].values()"),
    ];
    const lines: (string | undefined)[] = [];
    for (const source of sources) lines.push(await readerFrom(source).readLine(text));
    const chunks: Uint8Array[] = [];
    const writer = writerFrom(
      new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk) }),
    );
    await writer.write(hello);
    writer.close();
    await writer.waitClosed();

    assert.deepEqual(lines, ["hello", "hello", "hi"]);
    assert.equal(Buffer.concat(chunks).toString(), "hello");
  });

  onBothLoops("in the streams of tests", async () => {
    const [near, far] = memoryStreamPair();
    await near.write(hello);

    assert.equal(Buffer.from((await far.read()) ?? []).toString(), "hello");
    near.close();
    far.close();
  });

  test("on sockets, in datagrams, for a process", () =>
    run(async () => {
      await using server = await startServer((_reader, writer) => writer.write(hello), {
        host: "127.0.0.1",
      });
      await using connection = await openConnection("127.0.0.1", server.sockets[0].port);
      await using inbox = await createDatagramEndpoint({ local: { host: "127.0.0.1" } });
      await using sender = await createDatagramEndpoint({ local: { host: "127.0.0.1" } });
      await sender.send(hello, inbox.address);
      const output = await runProcess("cat", [], { input: hello });
      const pieces = await runProcess("cat", [], { input: [hello, "!"] });

      assert.equal(await connection.reader.readLine(text), "hello");
      assert.equal(Buffer.from((await inbox.receive()).bytes).toString(), "hello");
      assert.deepEqual([output.stdout, pieces.stdout], ["hello", "hello!"]);
    }));
});

describe("errors of another realm are errors", () => {
  const NotFound = foreign<typeof Error>("class NotFound extends Error {}; NotFound");
  const ForeignError = foreign<typeof Error>("Error");

  test("by their class, or that of this realm", () => {
    const [first, second, third] = [new NotFound("a"), new RangeError("b"), new ForeignError("c")];
    const group = new ExceptionGroup("several", [first, second, third]);
    const found = (matcher: typeof Error) => group.subgroup(matcher)?.errors;

    assert.deepEqual(found(NotFound), [first]);
    assert.deepEqual(found(foreign("TypeError")), undefined);
    assert.deepEqual(found(RangeError as typeof Error), [second]);
    assert.equal(
      group.errors.filter((error) => new ExceptionGroup("one", [error]).subgroup(Error)).length,
      3,
    );
  });

  onBothLoops("for those who try again", async () => {
    let tries = 0;
    const attempt = () => {
      if (++tries < 3) throw new NotFound("not yet");
      return tries;
    };

    const schedule = exponential(0.001).whileError(Error);
    assert.equal(await retry(schedule, attempt), 3);
  });

  test("in reports, with their causes", () => {
    const error = foreign(
      "new AggregateError([new Error('inner')], 'outer', { cause: new Error('why') })",
    );

    assert.match(formatThrown(error), /outer.*\[1\].*inner.*caused by.*why/s);
  });

  test("in what a schedule is reported with", async () => {
    const error = await rejection(
      explore(async () => {
        await sleep(1);
        throw foreign("new RangeError('far away')");
      }),
    );

    assert.match((error as Error).message, /^RangeError: far away\n/);
  });

  onBothLoops("that count as the cancellation behind all of them", async () => {
    const wrap = foreign<(causes: unknown[]) => Error>(
      "(causes) => new AggregateError(causes.map((cause) => new Error('wrapped', { cause })))",
    );
    const scope = new CancelScope();
    await scope.run(async () => {
      scope.cancel();
      await sleep(1).catch((error) => {
        throw wrap([error, error]);
      });
    });
    const other = new CancelScope();
    const failed = other.run(async () => {
      other.cancel();
      await sleep(1).catch((error) => {
        throw wrap([error, undefined]);
      });
    });

    assert.ok(scope.cancelled);
    assert.equal(((await rejection(failed)) as Error).name, "AggregateError");
  });
});

describe("what an environment for tests hides is taken from the host below", () => {
  const hidden = ["structuredClone", "ReadableStream", "WritableStream", "TextDecoder"] as const;
  const path = module<typeof import("node:path")>("node:path");

  before(() => InlineExecutor.load(path));
  beforeEach((t) => {
    const present = hidden.map((name) => [name, globalThis[name]] as const);
    for (const name of hidden) Object.assign(globalThis, { [name]: undefined }); // as in jsdom
    (t as TestContext).after(() => Object.assign(globalThis, Object.fromEntries(present)));
  });

  onBothLoops("to copy, for a job on the loop", async () => {
    await using executor = new InlineExecutor();
    const buffer = new ArrayBuffer(2);
    const format = path.format.with({ transfer: [buffer] });
    const place = { dir: "/a", base: "b", buffer };

    assert.equal(await executor.run(format, place), "/a/b");
    assert.equal(buffer.byteLength, 0);
    const refused = await rejection(executor.run(path.format, { base: () => "b" } as never));
    assert.match((refused as Error).message, /args\[0\]\.base cannot be sent/);
  });

  onBothLoops("for web streams, and for text", async () => {
    const [near, far] = connectionPair();
    const { readable, writable } = toWebStream(near);
    const sent = writable.getWriter();
    await sent.write("hé");
    await sent.close();
    await far.writer.write("there\n");
    far.writer.writeEof();

    assert.equal(await far.reader.readLine(text), "hé");
    assert.equal(await readerFrom(readable).readLine(text), "there");
    far.writer.close();
    near.writer.close();
  });
});
