// --class-weights as it is typed, and as files hold it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readClassWeights } from "../../src/cli/class-weights-option.ts";

const folder = mkdtempSync(join(tmpdir(), "weights-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

it.each<[string, readonly number[] | "balanced"]>([
  ["balanced", "balanced"],
  ["0.5,2,1e-3", [0.5, 2, 1e-3]],
  ["1, 2", [1, 2]],
  [file("a.json", "[0.5, 2]\n"), [0.5, 2]],
  [file("a.txt", "0.5\n2\r\n3\n"), [0.5, 2, 3]],
])("%s", (text, wanted) => expect(readClassWeights(text)).toEqual(wanted));

it("refuses what is neither", () => {
  expect(() => readClassWeights("0.5,two")).toThrow(
    "--class-weights 0.5,two is neither numbers with commas between them nor a file that can be read; give 0.5,2 say, a file of numbers, or balanced",
  );
  const path = file("b.txt", "cat 1\ndog 2\n");
  expect(() => readClassWeights(path)).toThrow(
    `--class-weights ${path}: the file holds something else than numbers; write one for each class, as a JSON array or with commas, spaces or line ends between them`,
  );
});
