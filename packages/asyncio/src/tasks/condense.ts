/**
 * Long lists in reports: what is alike is told once, with its number, and the list ends where
 * nobody would read on.
 */

const MOST_LINES = 20;

/**
 * `lines` with those in one that differ in their numbers alone, at most 20 of them, and how many
 * more there are.
 */
export function condense(lines: readonly string[], most: number = MOST_LINES): string[] {
  const kinds = new Map<string, { readonly line: string; count: number }>();
  for (const line of lines) {
    const kind = line.replace(/\d+(?:[.,]\d+)*/g, "#");
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, { line, count: 1 });
    else known.count++;
  }
  const shown = [...kinds.values()].slice(0, most);
  const left = lines.length - shown.reduce((sum, { count }) => sum + count, 0);
  const texts = shown.map(({ line, count }) =>
    count === 1 ? line : `${line} (and ${count - 1} more like it)`,
  );
  return left === 0 ? texts : [...texts, `and ${left} more`];
}
