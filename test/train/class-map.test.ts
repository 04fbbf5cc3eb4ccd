// A teacher of other classes than the student's, held to PyTorch (test/fixtures/class_map.py); and what is refused.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { mapClasses } from "../../src/train/class-map.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { studentFromText } from "../models/graph-text.ts";
import { collect, only } from "./helpers.ts";

interface Facts {
  readonly teacher: number[][];
  readonly student: number[][];
  readonly temperature: number;
  readonly cases: { readonly map: number[][]; readonly loss: number }[];
}
const facts: Facts = JSON.parse(readFileSync(new URL("../fixtures/class-map.json", import.meta.url), "utf8"));

/** x holds the teacher's logits and the student's side by side; each model picks its own. */
const picks = (from: number, columns: number) => {
  const data = new Float32Array(8 * columns);
  for (let c = 0; c < columns; c++) data[(from + c) * columns + c] = 1;
  const weight = tensor("float32", data, [8, columns]);
  return studentFromText("logits = MatMul(x, pick.weight)", [6, 8], { "pick.weight": weight }, 17);
};
const [teacher, student] = [modelBytes(picks(0, 5)), modelBytes(picks(5, 3))];
const x = facts.teacher.flatMap((row, i) => [...row, ...(facts.student[i] as number[])]);
const labels = Int32Array.of(0, 1, 2, 0, 1, 2);
const data = arrayDataset({ inputs: [tensor("float32", x, [6, 8])] });
const evaluation = arrayDataset({ inputs: [tensor("float32", x, [6, 8])], labels, classes: 3 });
const base: DistillOptions = {
  ...{ student, teacher, data, batch: 6, epochs: 2, learningRate: 0 },
  strategy: new ResponseDistillationStrategy({ temperature: facts.temperature }),
};
const plain = (map: number[][]) => map.map((c) => (c.length === 1 ? (c[0] as number) : c));

describe("as torch", () => {
  it.each(facts.cases)("$map", async ({ map, loss }) => {
    const asked: Partial<DistillOptions>[] = [
      {},
      { teacherCache: "off" },
      { teacher: ([t]) => ({ logits: teacherLogits(t as Tensor) }) },
    ];
    for (const o of asked)
      for (const { losses } of only(await collect({ ...base, ...o, classMap: plain(map) }), "step"))
        expect(losses.loss).toBeCloseTo(loss, 5);
  });

  it("on maps, class by class at each position", () => {
    const t = tensor("float32", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [1, 3, 2, 2]);
    const picked = mapClasses(t, [2, [0, 1]]);
    expect(picked.dims).toEqual([1, 2, 2, 2]);
    const both = [1, 2, 3, 4].map((a) => Math.log(Math.exp(a) + Math.exp(a + 4)));
    for (const [i, v] of [9, 10, 11, 12, ...both].entries()) expect(picked.data[i]).toBeCloseTo(v, 5);
  });

  it("the teacher is measured by the student's classes", async () => {
    const classMap = [3, 0, 4];
    const events = await collect({ ...base, evaluation, classMap });
    const [taught] = only(events, "evaluation").filter((e) => e.who === "teacher");
    const right = facts.teacher.filter((row, i) => {
      const z = classMap.map((c) => row[c] as number);
      return z.indexOf(Math.max(...z)) === labels[i];
    }).length;
    expect(taught!.metrics.top1).toBeCloseTo(right / 6, 6);
    const measured = await evaluateModel(picks(0, 5), evaluation, { runtime: nodeRuntime, classMap });
    expect(measured.metrics).toEqual(taught!.metrics);
    expect(only(events, "start")[0]!.notes).toContain(
      "the student's classes 0 to 2 are the teacher's 3, 0, 4; its others are left out",
    );
  });
});

function teacherLogits({ data: all, dims: [n] }: Tensor): Tensor {
  const rows = n as number;
  const at = (i: number) => 8 * Math.floor(i / 5) + (i % 5);
  return tensor(
    "float32",
    Float32Array.from({ length: 5 * rows }, (_, i) => Number(all[at(i)])),
    [rows, 5],
  );
}

describe("refused", () => {
  it.each<[Partial<DistillOptions>, string]>([
    [
      {},
      "the teacher gives 5 logits, the student student gives 3; both need the same, or --class-map (classMap), which says what class of the teacher each of the student's is",
    ],
    [
      { classMap: [1, 0] },
      "classMap (--class-map) names a class of the teacher for each of 2 classes, the student student has 3",
    ],
    [
      { classMap: [1, 0, 5] },
      "classMap names the teacher's class 5, its logits are [6,5]: it has classes 0 to 4",
    ],
    [
      { classMap: [1, 0, [3, 1]] },
      "distill: classMap gives the teacher's class 1 to the student's 0 and 2; name it once",
    ],
    [
      { classMap: [1, 0, -1] },
      "distill: classMap[2] must be one of the teacher's classes, counted from 0, or several, got -1; of a class that the teacher does not know it has nothing to teach: leave the teacher out, or give it a class that is near",
    ],
    [
      { classMap: [[1, 2], 0], task: "multi-label" },
      "distill: classMap[0] takes 2 classes together, which task multi-label has no rule for; name one",
    ],
    [
      { classMap: [] },
      "distill: classMap must be an array with one of the teacher's classes for each of the student's, got []",
    ],
    [
      { classMap: [0], teacher: undefined, strategy: undefined, data: evaluation },
      "distill: classMap needs a teacher",
    ],
  ])("%o", async (o, line) => {
    await expect(collect({ ...base, ...o })).rejects.toThrow(expect.objectContaining({ message: line }));
  });
});
