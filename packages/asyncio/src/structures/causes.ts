/** The causes of an error, which anybody's code may have thrown. */

const MAX_DEPTH = 64; // how far down to look

/**
 * The first answer of `judge` about `error`, its cause, the cause of that, and so on; null ends the
 * search. An AggregateError or SuppressedError has that of its first error, if each has one.
 */
export function findCause<A>(
  error: unknown,
  judge: (error: object) => A | null | undefined,
  depth = 0,
  known: Map<object, A | undefined> = new Map(),
): A | undefined {
  if (typeof error !== "object" || error === null || depth === MAX_DEPTH) return undefined;
  if (known.has(error)) return known.get(error); // groups may hold the same ones
  known.set(error, undefined); // some errors are their own cause
  let first: A | undefined;
  try {
    const own = judge(error);
    if (own === null) return undefined;
    first = own;
    for (const inner of own === undefined ? errorsBehind(error) : []) {
      const answer = findCause(inner, judge, depth + 1, known);
      if (answer === undefined) return undefined;
      first ??= answer;
    }
  } catch {
    return undefined; // a getter of its own has thrown
  }
  known.set(error, first);
  return first;
}

function errorsBehind(error: object): readonly unknown[] {
  const { name, cause, errors } = error as AggregateError; // if it is one
  // By name: Node's is of another realm under Jest, and compilers make the other of an Error.
  const isGroup = error instanceof AggregateError || name === "AggregateError";
  if (isGroup && errors.length > 0) return errors;
  const isSuppressing = name === "SuppressedError" && "error" in error && "suppressed" in error;
  return isSuppressing ? [error.error, error.suppressed] : [cause];
}
