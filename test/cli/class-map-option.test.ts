import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readClassMap } from "../../src/cli/class-map-option.ts";

const folder = mkdtempSync(join(tmpdir(), "class-map-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (content: string): string => {
  const path = join(folder, "map");
  writeFileSync(path, content);
  return path;
};

it.each([
  ["2,0", [2, 0]],
  ["7", [7]],
  ["2, 0+4", [2, [0, 4]]],
])("typed: %s", (text, map) => expect(readClassMap(text)).toEqual(map));

it.each([
  ["[2, [0, 4]]", [2, [0, 4]]],
  ["2\n0+4\n", [2, [0, 4]]],
  ["2, 0\n", [2, 0]],
  ["2 0 1", [2, 0, 1]],
  ['{"teacher": ["cat", "dog", "fox"], "student": ["fox", "cat"]}', [2, 0]],
])("from a file: %s", (content, map) => expect(readClassMap(file(content))).toEqual(map));

it("refuses what is no map", () => {
  const forms =
    'numbers of the teacher\'s classes, one for each of the student\'s (2,0 or [2, [0, 4]] or one a line), or names, {"teacher": ["a", "b", …], "student": ["b", …]}';
  expect(() => readClassMap("nowhere.json")).toThrow(
    `--class-map nowhere.json is neither numbers with commas between them nor a file that can be read; give ${forms}`,
  );
  const path = file("cat,dog");
  expect(() => readClassMap(path)).toThrow(`--class-map ${path}: the file holds no map; write ${forms}`);
  file('{"teacher": ["cat", "dog"], "student": ["dogs"]}');
  expect(() => readClassMap(path)).toThrow(
    `--class-map ${path}: the teacher has no class "dogs". Did you mean "dog"?`,
  );
});
