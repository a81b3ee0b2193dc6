/** The causes of an error, which anybody's code may have thrown. */

/** How far down the causes are looked at: some errors are their own cause. */
const MAX_DEPTH = 64;

/**
 * Asks `judge` about `error`, its cause, the cause of that, and so on, and gives the first answer;
 * an answer of null ends the search with undefined. An AggregateError has an answer if each of its
 * errors has one: that of the first. So has a SuppressedError, which the end of a `using` block
 * makes of two: what was thrown last, and what it would hide.
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
        // Two groups may hold the same one, and so on down: each is looked at once.
        if (!known.has(at)) known.set(at, answerOfAll(inner, judge, level + 1, known));
        return known.get(at);
      }
      at = (at as { readonly cause?: unknown }).cause;
    }
  } catch {
    // It is something else than it seems, with getters of its own.
  }
  return undefined;
}

function errorsIn(error: object): readonly unknown[] | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors;
  return isSuppressing(error) ? [error.error, error.suppressed] : undefined;
}

/** By its name: where the language lacks it, compilers make one of an Error. */
function isSuppressing(
  error: object,
): error is { readonly error: unknown; readonly suppressed: unknown } {
  const isNamed = (error as Partial<Error>).name === "SuppressedError";
  return isNamed && "error" in error && "suppressed" in error;
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
