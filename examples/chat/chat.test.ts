import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import * as testing from "asyncio-ts/testing";
import { Program } from "../program.ts";
import { Chat } from "./chat.ts";

const { openConnection, taskGroup } = asyncio;

/** What a person at a terminal is. */
class Person implements AsyncDisposable {
  readonly #reader: asyncio.StreamReader;
  readonly #writer: asyncio.StreamWriter;

  private constructor(connection: asyncio.Connection) {
    this.#reader = connection.reader;
    this.#writer = connection.writer;
  }

  static async connect(port: number, name?: string, host = "server"): Promise<Person> {
    const person = new Person(await openConnection(host, port));
    await person.hear(); // the welcome
    if (name !== undefined) {
      await person.say(`/nick ${name}`);
      await person.hear();
    }
    return person;
  }

  async say(...lines: string[]): Promise<void> {
    for (const line of lines) await this.#writer.write(`${line}\n`);
  }

  /** The next line; empty at the end. */
  async hear(): Promise<string> {
    return new TextDecoder().decode(await this.#reader.readLine()).trimEnd();
  }

  hangUp(): void {
    this.#writer.abort();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#writer[Symbol.asyncDispose]();
  }
}

/** A chat on a simulated network; the body runs on another host. */
async function chatting(
  body: (network: testing.SimulatedNetwork) => Promise<void>,
  options: { outbox?: number; highWaterMark?: number; latency?: number } = {},
): Promise<void> {
  const { outbox, highWaterMark, latency } = options;
  const network = new testing.SimulatedNetwork({ highWaterMark, latency });
  const chat = new Chat({ outbox });
  await network.host("server").run(async () => {
    await using _server = await asyncio.startServer(chat.serve, { port: 7000, highWaterMark });
    await network.host("people").run(() => body(network));
  });
}

test("what is said in a room is heard there, and nowhere else", () =>
  testing.runTest(() =>
    chatting(async () => {
      await using ada = await Person.connect(7000, "ada");
      await using bob = await Person.connect(7000, "bob");
      await using eve = await Person.connect(7000, "eve");
      await bob.say("/join tea");
      await ada.say("/join tea");
      assert.equal(await ada.hear(), "* guest-2 has come");
      assert.equal(await ada.hear(), "* guest-2 is now bob");
      assert.equal(await ada.hear(), "* guest-3 has come");
      assert.equal(await ada.hear(), "* guest-3 is now eve");
      assert.equal(await ada.hear(), "* bob has left");
      assert.equal(await ada.hear(), "* you are in tea");

      await ada.say("hello", "/who", "/rooms");

      assert.equal(await ada.hear(), "* here: ada, bob");
      assert.equal(await ada.hear(), "* rooms: lobby, tea");
      for (const line of ["* guest-3 has come", "* guest-3 is now eve", "* you are in tea"])
        assert.equal(await bob.hear(), line);
      assert.equal(await bob.hear(), "* ada has come");
      assert.equal(await bob.hear(), "<ada> hello");
      for (const line of ["* bob has left", "* ada has left"]) assert.equal(await eve.hear(), line);
    }),
  ));

test("names and commands that do not go are answered", () =>
  testing.runTest(() =>
    chatting(async () => {
      await using ada = await Person.connect(7000, "ada");
      await using bob = await Person.connect(7000);
      await bob.say("/nick ada", "/nick a b", "/join", "/fly", "", "/quit");

      assert.equal(await bob.hear(), "* ada is taken");
      assert.match(await bob.hear(), /^\* a name has/);
      assert.match(await bob.hear(), /^\* a room has/);
      assert.match(await bob.hear(), /^\* there is no \/fly/);
      assert.equal(await bob.hear(), "");
      assert.equal(await ada.hear(), "* guest-2 has come");
      assert.equal(await ada.hear(), "* guest-2 has left");
    }),
  ));

test("a member who does not read is dropped, and nobody is held up by that", () =>
  testing.runTest((t) =>
    chatting(
      async () => {
        await using ada = await Person.connect(7000, "ada");
        await using bob = await Person.connect(7000, "bob");
        await using _slow = await Person.connect(7000, "slow");
        for (let count = 0; count < 2; count++) await bob.hear(); // slow has come, and has a name

        const startedAt = t.now;
        let heard = "";
        for (let count = 0; heard !== "* slow was too slow"; count++) {
          assert.ok(count < 50, "slow is still there");
          await ada.say(`message ${count}`);
          heard = await bob.hear();
        }

        assert.equal(t.now, startedAt);
      },
      { outbox: 5, highWaterMark: 100 },
    ),
  ));

test("a line that is too long ends with an explanation", () =>
  testing.runTest(() =>
    chatting(async () => {
      await using ada = await Person.connect(7000);
      await ada.say("x".repeat(70_000));

      assert.equal(await ada.hear(), "* lines have at most 65536 bytes. Good-bye");
      assert.equal(await ada.hear(), "");
    }),
  ));

test("a connection that is lost is a member who leaves", () =>
  testing.runTest(() =>
    chatting(async (network) => {
      await using ada = await Person.connect(7000, "ada");
      const bob = await network.host("elsewhere").run(() => Person.connect(7000, "bob"));
      network.reset("elsewhere", "server");
      bob.hangUp();

      for (const line of ["* guest-2 has come", "* guest-2 is now bob", "* bob has left"])
        assert.equal(await ada.hear(), line);
    }),
  ));

const conversation = () =>
  chatting(async () => {
    await taskGroup(async (group) => {
      for (const name of ["ada", "bob"])
        group.createTask(async () => {
          await using person = await Person.connect(7000, name);
          await person.say(`I am ${name}`, "/who");
          for (;;) if ((await person.hear()).startsWith("* here:")) return;
        });
    });
  });

test("a conversation goes well under every schedule", async () => {
  const found = await testing.explore(conversation, {
    iterations: 200,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.distinct > 20, String(found.distinct));
});

test("wherever it is cancelled, nothing is left", async () => {
  const found = await testing.cancelSweep(conversation, {
    depth: 1,
    seconds: Number.POSITIVE_INFINITY,
  });

  assert.ok(found.places > 20, String(found.places));
});

test("on real sockets; Ctrl-C says good-bye and ends by the signal", async () => {
  const program = new Program("chat/main.ts", "--listen", "127.0.0.1:0");
  const port = await program.port();
  await asyncio.run(async () => {
    await using ada = await Person.connect(port, "ada", "127.0.0.1");
    await using bob = await Person.connect(port, "bob", "127.0.0.1");
    await bob.say("hello");
    for (const line of ["* guest-2 has come", "* guest-2 is now bob", "<bob> hello"])
      assert.equal(await ada.hear(), line);

    const ending = program.end("SIGINT");

    assert.equal(await ada.hear(), "* the server goes down");
    assert.equal(await ada.hear(), "");
    assert.deepEqual(await ending, { code: null, signal: "SIGINT", stderr: "" });
  });
});

test("wrong arguments are answered with the usage", async () => {
  for (const args of [["--listen", "nowhere"], ["--outbox", "0"], ["--fly"]]) {
    const { code, stderr } = await new Program("chat/main.ts", ...args).end();
    assert.equal(code, 2);
    assert.match(stderr, /Usage: /);
  }
});
