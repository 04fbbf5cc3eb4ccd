import { expect, it } from "vitest";
import { analyzeSelectivity } from "../../src/analysis/selectivity.ts";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { ints } from "../../src/graph/graph.ts";
import { type NodeLine, randomTensor, smallStudent } from "../compile/compile-model.ts";

const dataset = arrayDataset({ inputs: [randomTensor(1, [21, 6])] });

async function classesBy(line: NodeLine) {
  const model = smallStudent(
    [7, 6],
    { w: randomTensor(2, [6, 7]), ones: tensor("int64", [2, 3]), front: tensor("int64", [0]) },
    [{ op: "Relu", inputs: ["x"], output: "h" }, { op: "MatMul", inputs: ["h", "w"], output: "z" }, line],
  );
  const taps = [{ name: "h", teacher: "h", student: "h" }];
  const { classesFrom, taps: found } = await analyzeSelectivity({ model, dataset, taps, batch: 14 });
  return { classesFrom, response: found[0]?.teacher.profile.classResponse };
}

it("predicted classes are read however the output lies, as many classes as the file's batch among them", async () => {
  const plain = await classesBy({ op: "Softmax", inputs: ["z"], output: "p" });
  expect(plain.classesFrom).toBe("predictions");
  for (const line of [
    { op: "Transpose", inputs: ["z"], output: "p", attributes: { perm: ints([1, 0]) } },
    { op: "Unsqueeze", inputs: ["z", "ones"], output: "p" },
    { op: "Unsqueeze", inputs: ["z", "front"], output: "p" },
  ])
    expect(await classesBy(line)).toEqual(plain);
});
