// What a workload is. Each folder in workloads/ holds one job, written once for every
// implementation that is compared: the way its own users would write it. All of them give the same
// checksum, or they have not done the same work.

/** How large a workload is. It counts `tasks * repeats` operations. */
export interface Size {
  /** How many tasks, or pairs of tasks, run side by side. */
  readonly tasks: number;
  /** How many operations each of them performs, one after the other. */
  readonly repeats: number;
}

/** The part that is timed. Gives the checksum. */
export type Work = () => Promise<number>;

/** Sets the work up, anew for each sample; that part is not timed. */
export type Workload = (size: Size) => Work | Promise<Work>;

/** Adds `value` to a checksum that depends on the order too. Stays in 32 bits: no allocation. */
export function mix(checksum: number, value: number): number {
  return (Math.imul(checksum, 31) + value) | 0;
}
