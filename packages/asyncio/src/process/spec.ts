/**
 * What the options of a subprocess mean for the host: stdio, sessions, the shell. Checks them, too.
 */

import type { SpawnOptions } from "node:child_process";
import {
  advice,
  argumentError,
  checkCount,
  checkOptions,
  checkText,
  rangeError,
} from "../errors/errors.ts";
import type { AnyNames } from "../errors/options.ts";
import { isThenable } from "../errors/render.ts";
import type { ChildSpec } from "./child.ts";
import type { Stdio, SubprocessOptions } from "./options.ts";
import { startError } from "./start-error.ts";

/** The largest id of a user or group that the host takes. */
const LARGEST_ID = 2 ** 31 - 1;

type Host = "posix" | "windows";
const host = (): Host => (process.platform === "win32" ? "windows" : "posix");

/** For `program` with `args`, as they are: no shell looks at them. */
export function execSpec(
  api: string,
  program: unknown,
  args: readonly unknown[],
  options: SubprocessOptions,
): ChildSpec {
  checkWord(api, "the program to be a string", program);
  if (program === "") throw argumentError(api, "the program to have a name", program);
  for (const arg of args) checkWord(api, "arguments to be strings", arg);
  const words = args as readonly string[]; // just checked
  const command = inWords([program, ...words]);
  const spawnOptions = hostOptions(api, options);
  const spec = { api, asked: program, command, options: spawnOptions };
  if (!mergesPipes(options)) return { ...spec, program, args: words };
  checkMerge(api);
  const path = findProgram(api, program, spawnOptions);
  // The host has no way to give one pipe to two streams; a shell has, and then becomes the program.
  const shellArgs = ["-c", 'exec "$0" "$@" 2>&1', path, ...words];
  return { ...spec, program: "/bin/sh", args: shellArgs };
}

/** For a line that the shell of the system reads. */
export function shellSpec(api: string, line: unknown, options: SubprocessOptions): ChildSpec {
  checkWord(api, "a command line", line);
  const spawnOptions = { ...hostOptions(api, options), shell: true };
  if (mergesPipes(options)) checkMerge(api);
  const program = mergesPipes(options) ? `exec 2>&1\n${line}` : line;
  const command = JSON.stringify(cutOff(line));
  return { api, asked: line, program, args: [], command, options: spawnOptions };
}

/** @throws TypeError unless all of `options` are in `names`. */
export function checkProcessOptions(api: string, options: unknown, names: AnyNames): void {
  for (const name of ["text", "encoding", "universalNewlines"])
    if (typeof options === "object" && options !== null && name in options) {
      const cure = advice("Streams carry bytes: decode them, or iterate `process.stdout.lines()`");
      throw argumentError(api, `no option \`${name}\``, Reflect.get(options, name), cure);
    }
  checkOptions(api, options, names);
}

function hostOptions(api: string, options: SubprocessOptions): SpawnOptions {
  const { stdin = "inherit", stdout = "inherit", stderr = "inherit", cwd, env, uid, gid } = options;
  for (const [name, value] of Object.entries({ stdin, stdout, stderr })) {
    const isKnown =
      ["pipe", "inherit", "ignore"].includes(value as string) ||
      (name === "stderr" && value === "stdout") ||
      (Number.isInteger(value) && (value as number) >= 0);
    const known = `"pipe", "inherit", "ignore"${name === "stderr" ? ', "stdout"' : ""} or a file descriptor`;
    if (!isKnown) throw argumentError(api, `\`${name}\` to be ${known}`, value);
  }
  if (cwd !== undefined && !isUrl(cwd))
    checkWord(api, "`cwd` to be the path or URL of a folder", cwd);
  if (env !== undefined) checkEnv(api, env);
  for (const [name, id] of Object.entries({ uid, gid }))
    if (id !== undefined) checkCount(api, `\`${name}\``, id, 0, LARGEST_ID);
  const { startNewSession = stdin !== "inherit" } = options;
  return {
    stdio: [stdin, stdout, stderr === "stdout" ? sameAs(stdout) : stderr],
    detached: startNewSession && host() === "posix", // on Windows it would open a window
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}

/** Under jsdom the global URL is another class than the host's. */
const isUrl = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "href" in value;

/** For the system a text ends at a NUL: the rest of it would be lost, or taken for another one. */
function checkWord(api: string, what: string, value: unknown): asserts value is string {
  checkText(api, what, value);
  if (value.includes("\0")) throw rangeError(api, `${what}, without a NUL`, value);
}

/**
 * The system takes lines `NAME=value`: a name with a "=" would be another one, with another value.
 * Windows has names that begin with it.
 */
function checkEnv(api: string, env: unknown): void {
  const isOne = typeof env === "object" && env !== null && !Array.isArray(env) && !isThenable(env);
  if (!isOne) throw argumentError(api, "`env` to be an object of texts", env);
  for (const [name, value] of Object.entries(env)) {
    const rest = host() === "windows" ? name.slice(1) : name;
    if (name === "" || rest.includes("=") || name.includes("\0"))
      throw rangeError(api, 'the names in `env` to be texts without a "=" or a NUL', name);
    if (value !== undefined) checkWord(api, `\`env.${name}\` to be a text`, value);
  }
}

/** Where stderr goes with stdout, if that is no pipe; a pipe is shared by other means. */
function sameAs(stdout: Stdio): Stdio {
  if (stdout === "inherit") return 1;
  return stdout === "pipe" ? "ignore" : stdout;
}

function mergesPipes({ stdout, stderr }: SubprocessOptions): boolean {
  return stderr === "stdout" && stdout === "pipe";
}

function checkMerge(api: string): void {
  if (host() === "windows")
    throw argumentError(
      api,
      "`stderr` of its own on Windows",
      "stdout",
      advice('Use "pipe" and read both'),
    );
}

/**
 * The file that the shell would be asked to become, so that one that is not there fails as it does
 * without a shell.
 */
function findProgram(api: string, program: string, options: SpawnOptions): string {
  const { accessSync, constants, statSync } = process.getBuiltinModule("node:fs");
  const { delimiter, resolve } = process.getBuiltinModule("node:path");
  const { fileURLToPath } = process.getBuiltinModule("node:url");
  const { cwd = ".", env = process.env } = options;
  const folder = cwd instanceof URL ? fileURLToPath(cwd) : cwd;
  const folders = program.includes("/") ? [folder] : (env.PATH ?? "/usr/bin:/bin").split(delimiter);
  let failure: unknown;
  for (const place of folders) {
    const path = resolve(folder, place, program);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
      failure ??= Object.assign(new Error(`${path} is no file`), { code: "EACCES" }); // as spawn says
    } catch (error) {
      failure ??= error;
    }
  }
  throw startError(api, program, options, failure as Error); // there is a folder at least
}

const LONGEST_COMMAND = 200;

/** As one would type it. */
function inWords(words: readonly string[]): string {
  const typed = words.map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  return cutOff(typed.join(" "));
}

function cutOff(text: string): string {
  return text.length > LONGEST_COMMAND ? `${text.slice(0, LONGEST_COMMAND)}...` : text;
}
