/** The causes of an error, which anybody's code may have thrown. */

const MAX_DEPTH = 64; // how far down to look: some errors are their own cause

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
  try {
    let at = error;
    for (let level = depth; level < MAX_DEPTH; level++) {
      if (typeof at !== "object" || at === null) return undefined;
      const answer = judge(at);
      if (answer !== undefined) return answer ?? undefined;
      const inner = errorsIn(at);
      if (inner !== undefined) {
        // Groups may hold the same ones, and those too: each is looked at once.
        if (!known.has(at)) known.set(at, answerOfAll(inner, judge, level + 1, known));
        return known.get(at);
      }
      at = (at as { readonly cause?: unknown }).cause;
    }
  } catch {
    // a getter of its own has thrown
  }
  return undefined;
}

function errorsIn(error: object): readonly unknown[] | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors;
  // By its name: compilers make one of an Error where the language lacks it.
  const isSuppressing = (error as Error).name === "SuppressedError";
  if (!isSuppressing || !("error" in error) || !("suppressed" in error)) return undefined;
  return [error.error, error.suppressed];
}

function answerOfAll<A>(
  errors: readonly unknown[],
  judge: (error: object) => A | null | undefined,
  depth: number,
  known: Map<object, A | undefined>,
): A | undefined {
  let first: A | undefined;
  for (const error of errors) {
    const answer = findCause(error, judge, depth, known);
    if (answer === undefined) return undefined;
    first ??= answer;
  }
  return first;
}
