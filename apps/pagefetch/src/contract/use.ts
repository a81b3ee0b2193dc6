/**
 * Runs `body` with `resource`, and disposes of it when `body` has ended, however it ended. It is
 * what `using` and `await using` do, which Node 22 cannot parse.
 */
export async function use<R extends Disposable | AsyncDisposable, T>(
  resource: R,
  body: (resource: R) => Promise<T>,
): Promise<T> {
  try {
    return await body(resource);
  } finally {
    if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
    else resource[Symbol.dispose]();
  }
}
