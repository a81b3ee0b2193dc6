// What a program, its arguments, its folder and its environment may be: the system would take some
// of what is refused here for something else.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { createSubprocessExec, createSubprocessShell, runProcess } from "../../src/index.ts";
import { onBothLoops } from "../both-loops.ts";

type Start = (...args: unknown[]) => Promise<unknown>;
const ls = (options: object) => ["ls", [], options];

describe("what the system would take for something else is refused", () => {
  const wrong: Record<string, [args: unknown[], name: string, message: RegExp]> = {
    "a program with a NUL": [["ls\0"], "RangeError", /a string, without a NUL, got "ls\\u0000"$/],
    "an argument with a NUL": [["ls", ["a\0b"]], "RangeError", /a NUL, got "a\\u0000b"$/],
    "a folder with a NUL": [ls({ cwd: "/\0" }), "RangeError", /`cwd` .* a NUL, got "\/\\u0000"$/],
    "a folder that is no text": [ls({ cwd: 5 }), "TypeError", /`cwd` to be the path .*, got 5$/],
    "a user below 0": [ls({ uid: -1 }), "RangeError", /`uid`, a whole number of 0 .*, got -1$/],
    "a group by name": [ls({ gid: "wheel" }), "TypeError", /`gid`, a whole .*, got "wheel"$/],
    "a variable that is no text": [ls({ env: { A: 5 } }), "TypeError", /`env.A` .*, got 5$/],
    "a variable with a NUL": [ls({ env: { A: "\0" } }), "RangeError", /`env.A` .* a NUL, got/],
    "a name with a =": [ls({ env: { "A=B": "" } }), "RangeError", /a "=" or a NUL, got "A=B"$/],
    "a name with a NUL": [ls({ env: { "A\0": "" } }), "RangeError", /a NUL, got "A\\u0000"$/],
    "no name": [ls({ env: { "": "" } }), "RangeError", /names in `env` .*, got ""$/],
  };

  for (const [what, [args, name, message]] of Object.entries(wrong))
    onBothLoops(what, async () => {
      const expected = { name, message, code: "ERR_ASYNCIO_INVALID_ARGUMENT" };
      for (const start of [createSubprocessExec, runProcess] as Start[])
        await assert.rejects(start(...args), expected);
    });

  onBothLoops("a line of shell with a NUL", async () => {
    await assert.rejects(createSubprocessShell("ls\0"), { name: "RangeError", message: /a NUL/ });
  });
});

onBothLoops(
  "a variable that is undefined is not there, and one may have a = in its value",
  async () => {
    const env = { PATH: process.env.PATH, HERE: "a=b", AWAY: undefined };
    const { stdout } = await runProcess("sh", ["-c", 'echo "$HERE, $AWAY."'], { env });

    assert.equal(stdout, "a=b, .\n");
  },
);
