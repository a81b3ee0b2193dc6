// What the conformance suite is told of an operation.

/** One operation in a situation where it has to wait. Made anew for each run of each check. */
export interface Case {
  /** Begins the operation in the current scope. */
  begin(): PromiseLike<unknown>;
  /**
   * Lets it complete, from outside; gives the value that it is to give. Has no effect on what is
   * cancelled.
   */
  complete(): unknown;
  /**
   * Asserts the state after `complete` was called `offered` times, and `completed` operations gave
   * a value.
   */
  check?(counts: { offered: number; completed: number }): void;
  /** Asserts that no operation has begun. */
  untouched?(): void;
}

/** An operation that completes by itself when time has passed. */
export interface TimedCase extends Omit<Case, "complete"> {
  /** Seconds it takes. */
  readonly delay: number;
  readonly value: unknown;
}

export interface Traits {
  /**
   * What `complete` completes: the operation that waits longest ("one"), all that wait ("all"), or
   * the only operation that a case is made for ("own").
   */
  readonly wakes: "one" | "all" | "own";
  /** True if the operation completes in the call when `complete` was called before. */
  readonly hasFastPath?: boolean;
  /** True if a cancellation is delivered even if the operation gets a value after it. */
  readonly cancellationWins?: boolean;
  /** True if a join lets go of its work when its scope ends: the work is not the join's own. */
  readonly detaches?: boolean;
  /**
   * True if a join goes on when the scope ends in which it was called, because it is called on
   * behalf of other code.
   */
  readonly outlives?: boolean;
  /**
   * True if the work of a join runs in the scope of the caller, so that work which swallows a
   * cancellation swallows that of the caller.
   */
  readonly runsInCaller?: boolean;
  /** True if virtual time stands still while the operation waits. */
  readonly holdsTime?: boolean;
  /** Wraps each check: opens what the operation needs around it. */
  readonly within?: (check: () => Promise<void>) => PromiseLike<unknown>;
}
