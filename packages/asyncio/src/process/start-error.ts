/** What a program that cannot be started fails with. */

import type { SpawnOptions } from "node:child_process";
import { advice } from "../errors/errors.ts";

/** An error of the host, as Node makes them. */
interface HostError extends Error {
  readonly code?: string;
  readonly errno?: number;
  readonly syscall?: string;
}

/**
 * Says why a program could not be started. The host says "spawn x ENOENT" for a program, a working
 * directory and an interpreter that are not there; the code stays what it was.
 */
export function startError(
  api: string,
  program: string,
  options: SpawnOptions,
  cause: HostError,
): Error {
  const message = `${api} cannot start ${JSON.stringify(program)}: ${reasonOf(program, options, cause)}`;
  const { code, errno, syscall } = cause;
  return Object.assign(new Error(message, { cause }), { code, errno, syscall, path: program });
}

function reasonOf(program: string, { cwd, env }: SpawnOptions, { code, message }: HostError) {
  const { existsSync, statSync } = process.getBuiltinModule("node:fs");
  const { resolve } = process.getBuiltinModule("node:path");
  const { fileURLToPath } = process.getBuiltinModule("node:url");
  const folder = cwd instanceof URL ? fileURLToPath(cwd) : cwd;
  if (folder !== undefined && (code === "ENOENT" || code === "ENOTDIR")) {
    const shown = JSON.stringify(folder);
    if (!existsSync(folder)) return `its working directory ${shown} does not exist`;
    if (!statSync(folder).isDirectory()) return `its working directory ${shown} is a file`;
  }
  const isPath = program.includes("/");
  if (code === "ENOENT" && program.includes(" "))
    return `there is no such program${advice("Pass its arguments one by one, in an array")}`;
  if (code === "ENOENT" && !isPath) {
    const isSet = (env ?? process.env).PATH !== undefined;
    return `there is no such program in ${isSet ? "PATH" : "the default PATH, and none is set"}`;
  }
  if (code === "ENOENT") {
    const isThere = existsSync(resolve(folder ?? ".", program));
    return isThere
      ? "it exists, but the interpreter in its first line (#!), or its loader, does not"
      : "there is no such file";
  }
  if (code === "EACCES")
    return "permission denied: the file is not executable, or a folder on the way may not be entered";
  if (code === "E2BIG") return "its arguments and environment are too long for the system";
  return message;
}
