/** Where in the program something was called: the first frame that is not this package's. */

import { dirname, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this package's code; undefined where a bundler has left no address. */
const home: string | undefined =
  (import.meta.url as string | undefined) === undefined
    ? undefined
    : dirname(fileURLToPath(import.meta.url)) + sep;

/** "file:line", or undefined where the stack does not tell. */
export function callerPlace(): string | undefined {
  if (home === undefined) return undefined;
  const { stackTraceLimit } = Error;
  Reflect.set(Error, "stackTraceLimit", 20); // does nothing where it is frozen
  const { stack = "" } = new Error("here");
  Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
  for (const line of stack.split("\n").slice(1)) {
    const found = /(?:\(|at (?:async )?)((?:file:\/\/)?[^()]+?):(\d+)(?::\d+)?\)?$/.exec(line);
    if (found === null) continue;
    const [, address = "", row] = found;
    const file = address.startsWith("file:") ? fileURLToPath(address) : address;
    if (file.startsWith("node:") || file.startsWith(home)) continue;
    return `${file}:${row}`;
  }
  return undefined;
}
