// `--padding-row table=row`: rows of embeddings' tables that are not learned by being looked up, as paddingRows of distill().
import { InvalidArgumentError } from "commander";

export const paddingRow = (text: string, before: string[] = []): string[] => {
  if (split(text) === undefined)
    throw new InvalidArgumentError("Expected a table of embeddings, = and a row: embed.weight=0.");
  return [...before, text];
};

/** All rows of each table; undefined where none is given. */
export function paddingRowsOf(texts: readonly string[] | undefined): Record<string, number[]> | undefined {
  if (texts === undefined) return undefined;
  const rows = new Map<string, number[]>();
  for (const text of texts) {
    const [match, row] = split(text) as [string, number];
    rows.set(match, [...(rows.get(match) ?? []), row]);
  }
  return Object.fromEntries(rows);
}

function split(text: string): [string, number] | undefined {
  const [, match, row] = /^(.+)=\s*(-?\d+)\s*$/.exec(text) ?? [];
  return match === undefined ? undefined : [match, Number(row)];
}
