// Runs random programs in Python: one program to a line of what it reads, one trace to a line of
// what it writes. A trace tells for each place in a program what happened there, and when.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

export type Trace = Readonly<Record<string, readonly string[]>>;

/** A program for Python, and what it imports. */
export interface Script {
  readonly path: URL;
  readonly imports: string;
  /** What has to be installed. */
  readonly needs: string;
}

/** The first Python that has what `script` imports; Debian's has packages that others lack. */
function pythonFor({ imports }: Script): string | undefined {
  return ["python3", "/usr/bin/python3"].find(
    (python) => spawnSync(python, ["-c", `import ${imports}`]).status === 0,
  );
}

/** Why tests that need `script` are left out, or false. */
function lacks(script: Script): string | false {
  if (process.env.ASYNCIO_ALL_TOOLS === "1" || pythonFor(script) !== undefined) return false;
  return `${script.needs} is not installed`;
}

/** What is run here, and in Python. */
export interface Comparison<Program> {
  /** What it is compared with, as people call it. */
  readonly name: string;
  readonly script: Script;
  makeProgram(seed: number): Program;
  runHere(program: Program, isExact: boolean): Promise<Trace>;
  /** Both, without what may differ. */
  reduce(here: Trace, there: Trace): readonly [here: Trace, there: Trace];
}

/**
 * A test that random programs do the same here and there: 300 of them. `<NAME>_PROGRAMS` and
 * `<NAME>_SEED` choose how many, and the first.
 */
export function compare<Program>(comparison: Comparison<Program>): void {
  const { name, script, makeProgram, runHere, reduce } = comparison;
  const variable = name.toUpperCase();
  const count = Number(process.env[`${variable}_PROGRAMS`] ?? 300);
  const first = Number(process.env[`${variable}_SEED`] ?? 1);
  test(`${count} random programs from seed ${first} on do what they do in ${name}`, {
    skip: lacks(script),
  }, async () => {
    const seeds = Array.from({ length: count }, (_, index) => first + index);
    const traces = runInPython(script, seeds.map(makeProgram));
    for (const [index, seed] of seeds.entries()) {
      const there = traces[index] ?? {};
      const again = `${variable}_SEED=${seed} ${variable}_PROGRAMS=1 node --test ${process.argv[1]}`;
      for (const isExact of [true, false]) {
        const [actual, expected] = reduce(await runHere(makeProgram(seed), isExact), there);
        assert.deepEqual(
          actual,
          expected,
          `seed ${seed}, run it again by\n  ${again}\n${JSON.stringify(makeProgram(seed))}`,
        );
      }
    }
  });
}

function runInPython(script: Script, programs: readonly unknown[]): Trace[] {
  const python = pythonFor(script) ?? "python3";
  const { stdout, stderr, status } = spawnSync(python, ["-B", fileURLToPath(script.path)], {
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
