// What cannot be trained is refused before training, by one line that names the node, its op, the weight that needs it and
// what to do; docs/models.md lists the lines.
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { buildModel, linear, sequential } from "../../src/nn/index.ts";
import { refusal, world } from "../cli/helpers.ts";
import { npzFile } from "../data/files.ts";
import { testRandom } from "../gradient-checker.ts";
import { collect } from "./helpers.ts";
import { refusedModels } from "./refused-models.ts";

const random = testRandom(1);
const rows = Float32Array.from({ length: 16 * 3 }, () => random() - 0.5);
const labels = Uint8Array.from({ length: 16 }, (_, i) => i % 4);
const data = arrayDataset({ inputs: [tensor("float32", rows, [16, 3])], labels, classes: 4 });

it.each(refusedModels)("$what", async ({ student, line }) => {
  await expect(collect({ student, data, batch: 4, epochs: 1 })).rejects.toMatchObject({ message: line });
  expect(line).not.toContain("\n");
});

it("says the same on the command line, before it makes a run folder", async () => {
  const { at } = world();
  const [first] = refusedModels;
  writeFileSync(at("student.onnx"), first!.student);
  writeFileSync(at("rows.npz"), npzFile({ x_train: [rows, [16, 3]], y_train: [labels, [16]] }));
  const said = await refusal([
    "train",
    ...["--student", at("student.onnx"), "--data", at("rows.npz"), "--batch", "4", "--out", at("run")],
  ]);
  expect(said).toContain(first!.line);
  expect(() => readFileSync(at("run/run.json"))).toThrow();
});

it("lists the lines in docs/models.md", () => {
  const page = readFileSync(new URL("../../docs/models.md", import.meta.url), "utf8");
  for (const { what, line } of refusedModels) expect(page, what).toContain(line);
});

it("labels of which none counts teach nothing, and are refused in training and evaluation data", async () => {
  const inputs = [tensor("float32", rows, [16, 3])];
  const ignored = arrayDataset({ inputs, labels: tensor("int32", new Int32Array(16).fill(-100), [16]) });
  const student = buildModel({ input: { name: "x", dims: ["n", 3] }, seed: 1 }, sequential(linear(4)));
  const line = (name: string) =>
    `${name}: every label is the ignored one, so no row counts; correct the labels, or the label that is ignored (--ignore-index)`;
  const run = (more: object) => collect({ student, data, ignoreIndex: -100, batch: 4, epochs: 1, ...more });
  await expect(run({ data: ignored })).rejects.toMatchObject({ code: "E_DATA", message: line("the data") });
  await expect(run({ evaluation: ignored })).rejects.toMatchObject({
    code: "E_DATA",
    message: line("the evaluation data"),
  });
});
