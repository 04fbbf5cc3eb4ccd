// Which pairs are chosen: by resolution, then depth; equal neurons where they must be; in order, none twice.
import { expect, test } from "vitest";
import type { TapCandidate } from "../../src/taps/candidates.ts";
import { onePair, proposeTaps } from "../../src/taps/propose-taps.ts";
import { transformer } from "./graphs.ts";

/** `*` before the name: suggested. */
function value(name: string, neurons: number, resolution: number[], depth: number): TapCandidate {
  const suggested = name.startsWith("*");
  return {
    name: name.replace("*", ""),
    shape: [2, neurons, ...resolution],
    axis: 1,
    neurons,
    resolution,
    positions: resolution.reduce((a, b) => a * b, 1),
    depth,
    block: true,
    end: true,
    suggested,
  };
}

const pairs = (teacher: TapCandidate[], student: TapCandidate[], equalNeurons = false) =>
  proposeTaps(teacher, student, { equalNeurons }).map((p) => `${p.teacher.name}:${p.student.name}`);

const resnet = [
  value("*t0", 64, [32, 32], 0.06),
  value("t1a", 64, [16, 16], 0.17),
  value("*t1", 64, [16, 16], 0.28),
  value("t2a", 128, [8, 8], 0.39),
  value("*t2", 128, [8, 8], 0.5),
  value("*t3", 256, [4, 4], 0.72),
  value("*t4", 512, [2, 2], 0.94),
  value("*tv", 512, [], 0.94),
];
const small = [
  value("*s1", 16, [16, 16], 0.3),
  value("s2a", 128, [8, 8], 0.5),
  value("*s2", 32, [8, 8], 0.6),
  value("*s3", 64, [4, 4], 0.9),
  value("*sv", 64, [], 0.9),
];

test("the last values of equal resolution, however deep; pooled vectors only where nothing else pairs", () => {
  expect(pairs(resnet, small)).toEqual(["t1:s1", "t2:s2", "t3:s3"]);
  expect(pairs(resnet, [value("*sv", 64, [], 0.9)])).toEqual(["tv:sv"]);
});

test("equal neurons: the last block of the student's resolution that has a partner", () => {
  // 64 neurons lie in the teacher at depth 0.28 at most, too far from the student's 0.9.
  expect(pairs(resnet, small, true)).toEqual(["t2:s2a"]);
});

test("no equal resolution: the nearest depth among the teacher's places, no farther than a quarter", () => {
  const other = [value("*a", 8, [7, 7], 0.45), value("*b", 8, [3, 3], 0.95)];
  expect(pairs(resnet, other)).toEqual(["t2:a", "t4:b"]);
  expect(pairs([value("*t", 8, [9, 9], 0.1)], other)).toEqual([]);
});

test("at most four, the deepest", () => {
  const vgg = [64, 32, 16, 8, 4, 2].map((r, i) => value(`*v${i}`, 8, [r, r], (i + 1) / 7));
  expect(pairs(vgg, vgg)).toEqual(["v2:v2", "v3:v3", "v4:v4", "v5:v5"]);
});

test("one pair: the nearest to two thirds of the student's depth, wherever the teacher's lies", () => {
  const one = (...student: TapCandidate[]) =>
    onePair(proposeTaps(resnet, student, { equalNeurons: false })).map((p) => p.student.name);
  expect(one(...small)).toEqual(["s2"]);
  expect(one(value("*a", 8, [8, 8], 0.4), value("*b", 8, [2, 2], 0.9))).toEqual(["b"]);
  expect(one(value("*a", 8, [2, 2], 1))).toEqual(["a"]);
  expect(one()).toEqual([]);
});

test("no pair crosses another, and no value is used twice: the nearer in depth stays", () => {
  const teacher = [value("*t", 8, [5], 0.5)];
  const student = [value("*a", 8, [5], 0.3), value("*b", 8, [5], 0.45), value("*c", 8, [5], 0.7)];
  expect(pairs(teacher, student)).toEqual(["t:b"]);
  const back = [value("*x", 8, [4, 4], 0.4), value("*y", 8, [8, 8], 0.6)];
  const forth = [value("*y2", 8, [8, 8], 0.5), value("*x2", 8, [4, 4], 0.9)];
  expect(pairs(back, forth)).toEqual(["y:y2"]);
});

test("transformers of different depth: block ends at like depths", async () => {
  const [long, short] = [transformer(12), transformer(3)];
  const chosen = proposeTaps(
    await long.draft.candidates(long.output),
    await short.draft.candidates(short.output),
    { equalNeurons: true },
  );
  expect(chosen.map((p) => `${p.teacher.name}:${p.student.name}`)).toEqual([
    "block3:block0",
    "block7:block1",
    "block11:block2",
  ]);
});

test("a convolutional teacher and a transformer student: by depth alone", async () => {
  const student = transformer(8);
  const chosen = proposeTaps(resnet, await student.draft.candidates(student.output), { equalNeurons: false });
  expect(chosen.map((p) => `${p.teacher.name}:${p.student.name}`)).toEqual([
    "t1:block1",
    "t2:block3",
    "t3:block5",
    "t4:block7",
  ]);
});
