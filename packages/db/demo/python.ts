// Python as Debian has it, for contenders that are written in it.

import { spawnSync } from "node:child_process";

/** Debian's own: packages of it are not seen by another one. */
export const python = "/usr/bin/python3";

/** The version of asyncpg; undefined where it, or something else that is needed, is not installed. */
export function versionOfAsyncpg(...more: readonly string[]): string | undefined {
  const program = `import ${["asyncpg", ...more].join(", ")}; print(asyncpg.__version__)`;
  const { status, stdout } = spawnSync(python, ["-c", program], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
