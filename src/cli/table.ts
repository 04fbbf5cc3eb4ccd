// Rows of text -> columns that line up. Text to the left, figures to the right.
import stringWidth from "string-width";

/** `right`: columns whose cells end in line. Cells are shown as they are; the last column is not padded. */
export function table(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
  indent = "  ",
): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, stringWidth(cell));
    });
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => {
        const gap = " ".repeat((widths[i] as number) - stringWidth(cell));
        return right.includes(i) ? gap + cell : cell + gap;
      });
      return `${indent}${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
