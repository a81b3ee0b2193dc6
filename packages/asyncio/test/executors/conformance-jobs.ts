// Jobs of the conformance tests. They run on the loop of the test, so the work that they do can be
// told by the number under which it was put here.

type Work = () => Promise<unknown>;
const works: Work[] = [];

/** Gives the number of `work`. */
export function numberOf(work: Work): number {
  return works.push(work) - 1;
}

export async function perform(number: number): Promise<void> {
  await works[number]?.();
}

export async function* performAndTell(number: number): AsyncGenerator<string> {
  await works[number]?.();
  yield "told";
}
