// What those who run jobs share: the job, an async function with one wait, and the proof that never
// more than a hundred run.

export const limit = 100;

let running = 0;

export async function job(item: number): Promise<number> {
  begin();
  await undefined;
  return end(item);
}

export function begin(): void {
  if (++running > limit) throw new Error(`${running} jobs run at a time`);
}

export function end(item: number): number {
  running--;
  return item ^ 1;
}

export function itemsOf(count: number): number[] {
  return Array.from({ length: count }, (_, item) => item);
}

export function checksumOf(results: readonly number[]): number {
  return results.reduce((sum, result) => (Math.imul(sum, 31) + result) | 0, 0);
}
