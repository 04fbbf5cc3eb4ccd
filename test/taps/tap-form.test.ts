// The form in which the two sides of a tap are compared: which pooling, which reshaping, what is doubtful.
import { describe, expect, test } from "vitest";
import { commonForms, formedShape, type TapSide, tellForm } from "../../src/taps/tap-form.ts";

const cases: readonly {
  readonly name: string;
  readonly student: TapSide;
  readonly teacher: TapSide;
  readonly forms: readonly [object, object];
  /** Without the batch and, where they differ, with each side's own neurons. */
  readonly shapes: readonly [readonly number[], readonly number[]];
  readonly doubts?: readonly string[];
}[] = [
  {
    name: "equal shapes stay as they are",
    student: { dims: [8, 16, 4, 4] },
    teacher: { dims: [8, 16, 4, 4] },
    forms: [{}, {}],
    shapes: [
      [16, 4, 4],
      [16, 4, 4],
    ],
  },
  {
    name: "unequal neurons are left to the strategy",
    student: { dims: [8, 16] },
    teacher: { dims: [8, 64] },
    forms: [{}, {}],
    shapes: [[16], [64]],
  },
  {
    name: "the teacher's larger map is pooled",
    student: { dims: [8, 16, 7, 7] },
    teacher: { dims: [8, 64, 14, 14] },
    forms: [{}, { pool: [7, 7] }],
    shapes: [
      [16, 7, 7],
      [64, 7, 7],
    ],
  },
  {
    name: "each axis goes to its own smaller size",
    student: { dims: [8, 16, 12, 3] },
    teacher: { dims: [8, 16, 6, 9] },
    forms: [{ pool: [6, 3] }, { pool: [6, 3] }],
    shapes: [
      [16, 6, 3],
      [16, 6, 3],
    ],
  },
  {
    name: "tokens of unequal number",
    student: { dims: [2, 50, 8] },
    teacher: { dims: [2, 197, 8] },
    forms: [{}, { pool: [50] }],
    shapes: [
      [50, 8],
      [50, 8],
    ],
    doubts: ["197 tokens are averaged with their neighbours into 50, a class token with its first patches"],
  },
  {
    name: "a map beside a vector",
    student: { dims: [2, 32] },
    teacher: { dims: [2, 64, 7, 7] },
    forms: [{}, { pool: [1, 1], squeeze: true }],
    shapes: [[32], [64]],
  },
  {
    name: "a pooled map [N, C, 1, 1] beside a vector",
    student: { dims: [2, 64, 1, 1] },
    teacher: { dims: [2, 64] },
    forms: [{ squeeze: true }, {}],
    shapes: [[64], [64]],
  },
  {
    name: "a vector beside tokens",
    student: { dims: [2, 10, 64] },
    teacher: { dims: [2, 64] },
    forms: [{ pool: [1], squeeze: true }, {}],
    shapes: [[64], [64]],
  },
  {
    name: "tokens with a class token beside a map",
    student: { dims: [2, 197, 8] },
    teacher: { dims: [2, 64, 7, 7] },
    forms: [{ dropFirst: true, grid: [14, 14], pool: [7, 7] }, {}],
    shapes: [
      [8, 7, 7],
      [64, 7, 7],
    ],
  },
  {
    name: "tokens that fill a grid of the map's proportions",
    student: { dims: [2, 16, 4, 8] },
    teacher: { dims: [2, 8, 5] },
    forms: [{ pool: [2, 4] }, { grid: [2, 4] }],
    shapes: [
      [16, 2, 4],
      [5, 2, 4],
    ],
  },
  {
    name: "tokens that are no grid beside a map",
    student: { dims: [2, 11, 8] },
    teacher: { dims: [2, 64, 7, 7] },
    forms: [{}, { flatten: true, pool: [11] }],
    shapes: [
      [11, 8],
      [11, 64],
    ],
    doubts: ["11 tokens are no grid like the map 7x7, so its positions are compared as a row"],
  },
  {
    name: "[N, C, L] beside [N, T, C]",
    student: { dims: [2, 8, 20], axis: 1 },
    teacher: { dims: [2, 10, 8], axis: 2 },
    forms: [{ transpose: [0, 2, 1], pool: [10] }, {}],
    shapes: [
      [10, 8],
      [10, 8],
    ],
  },
  {
    name: "[N, H, W, C] beside [N, C, H, W]",
    student: { dims: [2, 4, 4, 8], axis: 3 },
    teacher: { dims: [2, 8, 8, 8], axis: 1 },
    forms: [{ transpose: [0, 3, 1, 2] }, { pool: [4, 4] }],
    shapes: [
      [8, 4, 4],
      [8, 4, 4],
    ],
  },
];

test.each(cases)("$name", ({ student, teacher, forms, shapes, doubts = [] }) => {
  const found = commonForms(student, teacher);
  expect([found.student, found.teacher]).toEqual(forms);
  expect([formedShape(student.dims, found.student), formedShape(teacher.dims, found.teacher)]).toEqual([
    [student.dims[0], ...shapes[0]],
    [teacher.dims[0], ...shapes[1]],
  ]);
  expect(found.doubts).toEqual(doubts);
});

describe("what has no common form", () => {
  test.each([
    ["unequal batches", [4, 3], [8, 3], "the numbers of samples differ"],
    ["a scalar per sample", [4], [4, 3], "a value of shape [4] has no neurons; tap one of rank 2 or more"],
    [
      "maps of two and of three axes",
      [1, 8, 4, 4],
      [1, 8, 4, 4, 4],
      "maps of 2 and 3 axes of space cannot be pooled to one another",
    ],
  ])("%s", (_, student, teacher, message) => {
    expect(() => commonForms({ dims: student }, { dims: teacher })).toThrow(
      expect.objectContaining({ code: "E_SHAPE", message }),
    );
  });
});

test("a form is told in words", () => {
  expect(tellForm([2, 64, 14, 14], { pool: [7, 7] })).toBe("[2,64,14,14] is pooled to 7x7");
  expect(tellForm([2, 197, 8], { dropFirst: true, grid: [14, 14], pool: [7, 7] })).toBe(
    "[2,197,8] loses its first token and is laid out as a map 14x14 and is pooled to 7x7",
  );
  expect(tellForm([2, 8, 20], { transpose: [0, 2, 1] })).toBeUndefined();
});
