/** Where in the user's program the library was called from. */

interface StackErrors {
  readonly stackTraceLimit?: number;
  captureStackTrace?(target: object, above: unknown): void;
}

const stackErrors = Error as unknown as StackErrors; // V8's control of stacks; other engines lack some of it
/**
 * The library's own folders: Deno finds its way from dist/ to src/ by the source maps. Taken from a
 * stack, since there is no `import.meta` where a framework makes CommonJS of this: this code is in
 * src/testing/site.ts, dist/testing.js and dist/production/testing.js. In a bundle the library has
 * no folder, and shows in tables.
 */
const homes: readonly string[] = homesIn(new Error().stack ?? "");
/** Enough to get out of the library. */
const FRAMES = 16;

/**
 * "bank.ts:12", for the innermost frame that is not the library's or the host's; empty if there is
 * none.
 */
export function siteOf(): string {
  const { stackTraceLimit } = stackErrors;
  Reflect.set(stackErrors, "stackTraceLimit", FRAMES); // does nothing where it is frozen
  const holder: { stack?: string } = {};
  if (stackErrors.captureStackTrace === undefined) holder.stack = new Error().stack ?? "";
  else stackErrors.captureStackTrace(holder, siteOf);
  const stack = holder.stack ?? "";
  if (stackTraceLimit !== undefined) Reflect.set(stackErrors, "stackTraceLimit", stackTraceLimit);
  return firstSite(stack);
}

/** The innermost place of a stack that is the user's. */
export function firstSite(stack: string): string {
  for (const line of stack.split("\n")) {
    const place = /([^\s()@]+):(\d+):\d+\)?$/.exec(line);
    const [, file = "", lineNumber = ""] = place ?? [];
    if (place === null || /^(node:|native$|ext:|internal)/.test(file)) continue;
    if (homes.some((home) => file.startsWith(home))) continue;
    return `${fileName(file)}:${lineNumber}`;
  }
  return "";
}

function homesIn(stack: string): string[] {
  const [, home] =
    /((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/])[^\n()]*?)(?:src[\\/]testing[\\/]site|dist[\\/](?:production[\\/])?testing)\./.exec(
      stack,
    ) ?? [];
  if (home === undefined) return [];
  const path = home.replace(/^file:\/\//, "");
  return [path, `file://${path}`].flatMap((root) => [`${root}dist/`, `${root}src/`]);
}

/** The last part of a path: a table has no room for more. */
function fileName(file: string): string {
  return (file.split(/[\\/]/).at(-1) ?? file).replace(/\?.*$/, "");
}
