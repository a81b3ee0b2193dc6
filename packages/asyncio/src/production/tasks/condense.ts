/** For tasks/condense.ts: a long list is cut off, and not condensed. */

export function condense(lines: readonly string[], most: number = 20): string[] {
  const left = lines.length - most;
  return left > 0 ? [...lines.slice(0, most), `and ${left} more`] : [...lines];
}
