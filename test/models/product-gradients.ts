// Gradients of loss = Σ cotangent·output of a small student, frozen statistics, by the names of its constants; the loss
// itself under "loss".
import type { Tensor } from "../../src/base/tensor.ts";
import { names } from "../../src/compile/compile-step.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { LossEmission } from "../../src/losses/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { compileModel, randomTensor, unpacked } from "../compile/compile-model.ts";

/** The cotangent takes the place of a teacher's logits. */
const product: LossEmission = {
  unequalNeurons: () => true,
  emit: ({ b, studentLogits, teacherLogits }) => [
    { name: "product", value: b.reduceSum(b.mul(studentLogits, teacherLogits as Value)) },
  ],
};

/** `input`: shape of the student's only input "x", which gets the same random numbers every time. */
export async function productGradients(
  student: Model,
  input: readonly number[],
): Promise<Map<string, Tensor>> {
  const compiled = await compileModel(student, input[0] as number, {
    labels: false,
    teacherLogits: true,
    loss: product,
    trainStatistics: false,
  });
  const state = [...compiled.weights, ...compiled.statistics].map(({ key }) => {
    const data = compiled.initial.get(key) as Float32Array;
    return [names.state(key), { dtype: "float32", dims: [data.length], data }] as const;
  });
  const session = await nodeRuntime.load(writeGraph(compiled.gradients));
  const out = await session.run({
    x: randomTensor(20, input),
    ...Object.fromEntries(state),
    [names.teacherLogits]: randomTensor(21, compiled.logitsShape),
  });
  await session.release();
  return unpacked(compiled.weights, out, names.gradient).set("loss", out[names.losses] as Tensor);
}
