// Runs random programs in Python: one program to a line of what it reads, one trace to a line of
// what it writes. A trace tells for each place in a program what happened there, and when.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export type Trace = Readonly<Record<string, readonly string[]>>;

/** A program for Python, and what it imports. */
export interface Script {
  readonly path: URL;
  readonly imports: string;
}

/** The first Python that has what `script` imports; Debian's has packages that others lack. */
function pythonFor({ imports }: Script): string | undefined {
  return ["python3", "/usr/bin/python3"].find(
    (python) => spawnSync(python, ["-c", `import ${imports}`]).status === 0,
  );
}

/** Why tests that need `script` are left out, or false. */
export function lacks(script: Script, what: string): string | false {
  if (process.env.ASYNCIO_ALL_TOOLS === "1" || pythonFor(script) !== undefined) return false;
  return `${what} is not installed`;
}

export function runInPython(script: Script, programs: readonly unknown[]): Trace[] {
  const python = pythonFor(script) ?? "python3";
  const { stdout, stderr, status } = spawnSync(python, [fileURLToPath(script.path)], {
    input: programs.map((program) => `${JSON.stringify(program)}\n`).join(""),
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  assert.equal(status, 0, stderr);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Trace);
}
