import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { needs, runTool } from "../servers.ts";
import { relayTo, send } from "./deliver.ts";
import { type SmtpOptions, serveSmtp } from "./server.ts";
import { type Mail, Refusal } from "./wire.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (string: string) => new TextEncoder().encode(string);
const letter: Mail = {
  from: "ada@example.org",
  to: ["bob@example.com"],
  data: bytes("Subject: hello\r\n\r\n.\r\n..dots\r\nend\r\n"),
};

interface World {
  /** What was taken. */
  readonly taken: Mail[];
  readonly network: testing.SimulatedNetwork;
  readonly server: asyncio.Server;
}

/** A server on a simulated network; the body runs on another host. */
async function serving(
  body: (world: World) => Promise<void>,
  options: Partial<SmtpOptions> & testing.NetworkOptions = {},
): Promise<void> {
  const { chunks, highWaterMark, latency, loss, seed, ...smtpOptions } = options;
  const network = new testing.SimulatedNetwork({ chunks, highWaterMark, latency, loss, seed });
  const taken: Mail[] = [];
  const handler = serveSmtp({
    hostname: "mail.example.com",
    accepts: (to) => to.endsWith("@example.com"),
    deliver: async () => {},
    onMail: (mail, refusal) => {
      if (refusal === undefined) taken.push(mail);
    },
    ...smtpOptions,
  });
  await network.host("server").run(async () => {
    await using server = await asyncio.startServer(handler, { port: 25, highWaterMark });
    await network.host("client").run(() => body({ taken, network, server }));
  });
}

const sendLetter = (mail: Mail = letter) =>
  send(mail, { host: "server", port: 25, hostname: "client" });

/** Says these lines, and gives the codes of the answers, until the server ends the connection. */
async function say(...lines: readonly string[]): Promise<string[]> {
  await using connection = await asyncio.openConnection("server", 25);
  await connection.writer.write(lines.map((line) => `${line}\r\n`).join(""));
  connection.writer.writeEof();
  const answer = text(await connection.reader.read());
  return answer
    .split("\r\n")
    .filter((line) => /^\d{3} /.test(line))
    .map((line) => line.slice(0, 3));
}

const begin = ["EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<bob@example.com>", "DATA"];

describe("on a simulated network", () => {
  test("a message arrives as it was, with its dots", () =>
    testing.runTest(() =>
      serving(
        async ({ taken }) => {
          await sendLetter();

          assert.deepEqual(
            taken.map(({ from, to, data }) => ({ from, to, data: text(data) })),
            [{ ...letter, data: text(letter.data) }],
          );
        },
        { chunks: "bytes" },
      ),
    ));

  test("commands may come all at once, and are answered in order", () =>
    testing.runTest(() =>
      serving(async ({ taken }) => {
        const codes = await say(...begin, "hi", ".", ...begin.slice(1), ".", "QUIT");

        assert.deepEqual(codes, "220 250 250 250 354 250 250 250 354 250 221".split(" "));
        assert.deepEqual(
          taken.map(({ data }) => text(data)),
          ["hi\r\n", ""],
        );
      }),
    ));

  test("what is out of order or wrong is refused, and the session goes on", () =>
    testing.runTest(() =>
      serving(
        async ({ taken }) => {
          const codes = await say(
            ...["MAIL FROM:<a@b>", "DATA", "RCPT TO:<bob@example.com>", "EHLO", "FLY me"],
            ...["HELO me", "MAIL FROM:a@b", "STARTTLS", "MAIL FROM:<> SIZE=11"],
            ...["MAIL FROM:<>", "RCPT TO:<bob@elsewhere>", "QUIT"],
          );

          assert.deepEqual(
            codes.slice(1),
            "503 503 503 501 500 250 501 502 552 250 550".split(" ").concat("221"),
          );
          assert.equal(taken.length, 0);
        },
        { maxBytes: 10 },
      ),
    ));

  test("the client is told that a message is taken when it is, and no sooner", () =>
    testing.runTest((t) =>
      serving(
        async () => {
          await sendLetter();
          assert.equal(t.now, 3);
        },
        { deliver: () => asyncio.sleep(3) },
      ),
    ));

  test("a delivery that takes too long is refused for now", () =>
    testing.runTest((t) =>
      serving(
        async ({ taken }) => {
          await assert.rejects(sendLetter(), { code: 451 });
          assert.equal(t.now, 20);
          assert.equal(taken.length, 0);
        },
        { deliver: () => asyncio.sleep(3600) },
      ),
    ));

  test("limits: recipients, bytes, mistakes", () =>
    testing.runTest(() =>
      serving(
        async ({ taken }) => {
          const two = await say(
            "EHLO me",
            "MAIL FROM:<>",
            ...Array(3).fill("RCPT TO:<b@example.com>"),
          );
          assert.deepEqual(two.slice(3), ["250", "250", "452"]);

          const large = await say(...begin, "x".repeat(100), ".", "NOOP");
          assert.deepEqual(large.slice(4), ["354", "552", "250"]);
          assert.equal(taken.length, 0);

          const clumsy = await say(...Array(20).fill("FLY"));
          assert.deepEqual(clumsy, ["220", ...Array(10).fill("500"), "421"]);
        },
        { maxRecipients: 2, maxBytes: 100 },
      ),
    ));

  test("only CR LF ends a line: a message inside a message is not found", () =>
    testing.runTest(() =>
      serving(async ({ taken }) => {
        for (const end of ["\n.\n", "\n.\r\n", "\r.\r"]) {
          const codes = await say(...begin, `hi${end}MAIL FROM:<boss@example.com>`, ".", "QUIT");
          assert.deepEqual(codes.slice(4), ["354", "521"]);
        }
        assert.deepEqual(taken, []);
      }),
    ));

  test("a line without an end is not kept in memory", () =>
    testing.runTest(() =>
      serving(async () => {
        const codes = await say("x".repeat(100_000));
        assert.deepEqual(codes, ["220", "500"]);
      }),
    ));

  test("silence ends a session, and so does a text that never ends", () =>
    testing.runTest((t) =>
      serving(async ({ taken }) => {
        await using silent = await asyncio.openConnection("server", 25);
        assert.match(text(await silent.reader.read()), /^220 .*\r\n421 .* waited long enough\r\n$/);
        assert.equal(t.now, 300);

        await using slow = await asyncio.openConnection("server", 25);
        await slow.writer.write(begin.join("\r\n").concat("\r\n"));
        const drip = asyncio.createTask(async () => {
          for (;;) {
            await asyncio.sleep(100);
            await slow.writer.write("x\r\n");
          }
        });
        assert.match(text(await slow.reader.read()), /\r\n421 .* waited long enough\r\n$/);
        assert.equal(t.now, 900);
        await assert.rejects(drip, { code: /ECONNRESET|EPIPE/ });
        assert.deepEqual(taken, []);
      }),
    ));

  test("a client that does not read its answers is hung up on", () =>
    testing.runTest((t) =>
      serving(
        async ({ server }) => {
          const deaf = await asyncio.openConnection("server", 25);
          void deaf.writer.write("NOOP\r\n".repeat(100_000));
          await asyncio.sleep(1);
          server.close();
          await server.waitClosed();
          assert.equal(t.now, 305);
          deaf.writer.abort();
        },
        { highWaterMark: 100 },
      ),
    ));

  test("a client that vanishes has its message still, and nobody is alarmed", () =>
    testing.runTest(() =>
      serving(async ({ taken, network, server }) => {
        for (const vanish of [
          (writer: asyncio.StreamWriter) => writer.abort(),
          (writer: asyncio.StreamWriter) => writer.close(),
          () => network.reset("client", "server"),
        ]) {
          const { writer } = await asyncio.openConnection("server", 25);
          await writer.write(begin.concat("half of it").join("\r\n"));
          await asyncio.sleep(1);
          vanish(writer);
          writer.abort();
        }
        await asyncio.sleep(1);
        assert.equal(server.connections, 0);
        assert.deepEqual(taken, []);
      }),
    ));

  test("going down lets a delivery end, and says good-bye to everybody else", () =>
    testing.runTest((t) =>
      serving(
        async ({ taken, server }) => {
          await using idle = await asyncio.openConnection("server", 25);
          await using busy = await asyncio.openConnection("server", 25);
          await busy.writer.write(begin.concat("hi", ".", "").join("\r\n"));
          await asyncio.sleep(1);

          const ending = asyncio.createTask(() => server.shutdown(0));

          assert.match(
            text(await idle.reader.read()),
            /\r\n421 .* goes down, come again later\r\n$/,
          );
          assert.equal(t.now, 1);
          assert.match(text(await busy.reader.read()), /\r\n250 taken\r\n421 .*\r\n$/);
          await ending;
          assert.equal(t.now, 10);
          assert.equal(taken.length, 1);
        },
        { deliver: () => asyncio.sleep(10) },
      ),
    ));

  test("a relay passes on what the next server says of a message", () =>
    testing.runTest(async () => {
      const network = new testing.SimulatedNetwork();
      const next = { host: "next", port: 25, hostname: "relay" };
      const accepts = (to: string) => to !== "nobody@example.com";
      const last = serveSmtp({ hostname: "next", accepts, deliver: async () => {} });
      const relay = serveSmtp({ hostname: "relay", accepts: () => true, deliver: relayTo(next) });
      await network.host("next").run(async () => {
        const server = await asyncio.startServer(last, { port: 25 });
        await network.host("server").run(async () => {
          await using _relay = await asyncio.startServer(relay, { port: 25 });
          await network.host("client").run(async () => {
            await sendLetter();
            const lost = { ...letter, to: ["nobody@example.com"] };
            await assert.rejects(sendLetter(lost), { code: 550 });
            await server.shutdown(0);
            await assert.rejects(sendLetter(), { code: 451, message: /cannot be reached/ });
          });
        });
      });
    }));

  test("a next server that talks nonsense, or hangs up, is a reason to try again later", () =>
    testing.runTest(async () => {
      const network = new testing.SimulatedNetwork();
      const answers = ["hello\r\n", "", "220-a\r\n".repeat(1000), `220 ${"x".repeat(10_000)}\r\n`];
      await network.host("server").run(async () => {
        await using _server = await asyncio.startServer(
          async (_reader, writer) => void writer.write(answers.shift() ?? ""),
          { port: 25 },
        );
        while (answers.length > 0)
          await assert.rejects(
            sendLetter(),
            (error) => error instanceof Refusal && error.code !== 220,
          );
      });
    }));

  const conversation = () =>
    serving(
      async ({ taken }) => {
        await asyncio.gather(
          () => sendLetter(),
          () => sendLetter({ ...letter, from: "" }),
        );
        assert.equal(taken.length, 2);
      },
      { deliver: () => asyncio.sleep(1) },
    );

  test("two clients go well under every schedule", async () => {
    const found = await testing.explore(conversation, { iterations: 100, seconds: 30 });

    assert.ok(found.distinct > 20, String(found.distinct));
  });

  test("wherever it is cancelled, nothing is left", async () => {
    const found = await testing.cancelSweep(conversation, { depth: 1, seconds: 10 });

    assert.ok(found.places > 20, String(found.places));
  });

  test("wherever the server is cancelled, who was told 250 has had the message taken", async () => {
    await testing.cancelSweep(
      () =>
        serving(async ({ taken }) => {
          const isTold = await sendLetter().then(
            () => true,
            (error: unknown) => {
              assert.ok(error instanceof Error);
              return false;
            },
          );
          if (isTold) assert.equal(taken.length, 1);
        }),
      { victims: /server/, mayReturn: true, depth: 1, seconds: 10 },
    );
  });
});

const fixtures = new URL("../../packages/asyncio/test/fixtures/tls/", import.meta.url);
const fixture = (name: string) => fileURLToPath(new URL(name, fixtures));
const certificate = ["--cert", fixture("server.pem"), "--key", fixture("server-key.pem")];
const ca = readFileSync(fixture("ca.pem"));

/** The program, with a folder for what comes. */
async function withProgram(
  args: readonly string[],
  body: (program: Program, port: number, mail: () => string[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "asyncio-ts-smtp-"));
  const always = ["--listen", "127.0.0.1:0", "--for", "example.com", "--store", folder];
  const program = new Program("smtp/main.ts", ...always, ...args);
  try {
    const port = await program.port();
    await asyncio.run(() =>
      body(program, port, () =>
        readdirSync(folder).map((name) => readFileSync(join(folder, name), "latin1")),
      ),
    );
  } finally {
    program.child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

describe("on real sockets", () => {
  test("a chain of two: by TLS to a relay, by TLS to the next, into a folder; and Ctrl-C", () =>
    withProgram([...certificate, "--require-tls"], async (last, next, mail) => {
      const relay = new Program(
        "smtp/main.ts",
        ...["--listen", "127.0.0.1:0", "--for", "example.com", "--relay", `localhost:${next}`],
        ...["--ca", fixture("ca.pem"), ...certificate],
      );
      const port = await relay.port();
      const tls = { ca, serverHostname: "localhost" };
      await send(letter, { host: "127.0.0.1", port, hostname: "test", tls, useTls: "always" });

      const [stored = ""] = mail();
      assert.equal(
        stored,
        `Return-Path: <ada@example.org>\r\nDelivered-To: bob@example.com\r\n${text(letter.data)}`,
      );
      const said = /^<ada@example\.org> to bob@example\.com, \d+ B: taken$/;
      assert.match(await relay.line(), said);
      assert.match(await last.line(), said);
      const plain = send(letter, {
        host: "127.0.0.1",
        port: next,
        hostname: "test",
        useTls: "never",
      });
      await assert.rejects(plain, { code: 530 });
      for (const program of [relay, last])
        assert.deepEqual(await program.end("SIGINT"), { code: null, signal: "SIGINT", stderr: "" });
    }));

  test("a next server that cannot be trusted gets no mail", () =>
    withProgram(certificate, async (_program, next, mail) => {
      const at = { host: "localhost", port: next, hostname: "test" };
      const said = /^no TLS with localhost: .*certificate/;
      await assert.rejects(send(letter, at), { code: 454, message: said });
      const other = { ...at, tls: { ca, serverHostname: "elsewhere.example" } };
      await assert.rejects(send(letter, other), { code: 454, message: said });
      assert.deepEqual(mail(), []);
    }));

  test("commands that were sent ahead of the handshake are never obeyed", () =>
    withProgram(certificate, async (program, port, mail) => {
      await using connection = await asyncio.openConnection("127.0.0.1", port);
      const { reader, writer } = connection;
      await writer.write(`STARTTLS\r\n${begin.concat("injected", ".", "").join("\r\n")}`);
      await reader.readUntil("220 go ahead\r\n");
      await reader.read().catch(() => {}); // an alert, or a reset: the handshake fails
      assert.deepEqual(mail(), []);
      assert.deepEqual(await program.end("SIGINT"), { code: null, signal: "SIGINT", stderr: "" });
    }));

  const swaks = (port: number, ...args: string[]) =>
    runTool("swaks", [
      "--server",
      `127.0.0.1:${port}`,
      "--to",
      "bob@example.com",
      "--from",
      "a@b.c",
      ...args,
    ]);

  test("swaks delivers, by TLS too", needs("swaks"), () =>
    withProgram(certificate, async (_program, port, mail) => {
      const plain = await swaks(port, "--pipeline");
      assert.equal(plain.returncode, 0, plain.stdout);
      const secret = await swaks(port, "--tls", "--body", "by TLS\n.dot");
      assert.equal(secret.returncode, 0, secret.stdout);
      assert.match(secret.stdout, /TLS started with cipher TLSv1\.3/);
      const wrong = await swaks(port, "--to", "bob@elsewhere.example");
      assert.match(wrong.stdout, /550 no mail for/);

      assert.equal(mail().length, 2);
      assert.ok(
        mail().some((one) => one.endsWith("by TLS\r\n.dot\r\n\r\n\r\n")),
        mail().join(),
      );
    }),
  );

  test("curl delivers by TLS, and believes the certificate", needs("curl"), () =>
    withProgram([...certificate, "--require-tls"], async (_program, port, mail) => {
      const args = ["--silent", "--show-error", "--ssl-reqd", "--cacert", fixture("ca.pem")];
      const envelope = ["--mail-from", "ada@example.org", "--mail-rcpt", "bob@example.com"];
      const curl = (...more: string[]) =>
        runTool(
          "curl",
          [...args, ...envelope, `smtp://localhost:${port}`, "-4", "-T", "-", ...more],
          {
            input: letter.data,
          },
        );

      assert.deepEqual(await curl(), { returncode: 0, stdout: "", stderr: "" });
      assert.ok(mail()[0]?.endsWith(text(letter.data)), mail()[0]);
    }),
  );
});

test("wrong arguments end with a sentence", async () => {
  for (const args of [[], ["--for", "x"], ["--for", "x", "--store", "y", "--require-tls"]]) {
    const { code, stderr } = await new Program("smtp/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /^[^\n]+\n\nUsage: /);
  }
});
