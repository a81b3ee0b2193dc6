// How types are compared: exactly, so that `any` equals nothing but itself.

export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles iff the type argument is `true`: `expectType<Equal<typeof value, string>>()`. */
export function expectType<_Holds extends true>(): void {}

/**
 * True iff `T` is `any`, or holds it where a reader would look: an element, a property, an
 * argument, a result.
 */
export type HasAny<T> =
  IsAny<T> extends true
    ? true
    : T extends (...args: infer A) => infer R
      ? IsAny<R> extends true
        ? true
        : IsAny<A[number]>
      : T extends PromiseLike<infer V>
        ? IsAny<V>
        : false;

type IsAny<T> = 0 extends 1 & T ? true : false;
