// Figures in columns, for people.

// The first column is text, the others are figures.
export function printTable(head, rows) {
  const lines = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  for (const [name, ...cells] of lines) {
    const rest = cells.map((cell, index) => cell.padStart(widths[index + 1]));
    console.log(`  ${[name.padEnd(widths[0]), ...rest].join("  ")}`);
  }
}
