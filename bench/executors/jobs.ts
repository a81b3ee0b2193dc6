/** What runs in the workers. */

/** The least that a job can do. */
export const same = (n: number): number => n;

/** Keeps a processor busy for so many milliseconds. */
export function burn(ms: number): number {
  const end = performance.now() + ms;
  let turns = 0;
  while (performance.now() < end) turns++;
  return turns;
}

/** A regular expression of somebody else; some take longer than anybody waits. */
export const check = (pattern: string, text: string): boolean => new RegExp(pattern).test(text);

/** The same in the form in which piscina calls a function. */
export const checkTask = ([pattern, text]: readonly [string, string]): boolean =>
  check(pattern, text);
