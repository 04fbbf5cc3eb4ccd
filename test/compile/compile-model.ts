// Shared by the tests of this room: a student into a compiled step, with everything that a test does not care about
// filled in; and small students made node by node.
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import type { ValueInfo } from "../../src/base/value-info.ts";
import { type CompiledStep, type CompileOptions, compileStep } from "../../src/compile/compile-step.ts";
import { unpackTensors } from "../../src/compile/state.ts";
import { type Attributes, Graph } from "../../src/graph/graph.ts";
import { emissionOf, type LossEmission } from "../../src/losses/index.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { targets } from "../../src/ops/target.ts";
import { sgd } from "../../src/optim/sgd.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { observe } from "../../src/runtime/observe.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { ResponseDistillationStrategy } from "../../src/strategies/index.ts";
import { testRandom } from "../gradient-checker.ts";

/** Training from labels alone. */
export const supervised = emissionOf(new ResponseDistillationStrategy()) as LossEmission;

/** Default: labels alone, plain SGD without momentum, nothing frozen, batch statistics. */
export async function compileModel(
  student: Model,
  batch: number,
  options: Partial<Omit<CompileOptions, "student" | "known">> = {},
): Promise<CompiledStep> {
  const { known } = await observe(student, nodeRuntime, exampleFeeds(student, batch));
  return compileStep({
    student,
    known,
    teacherLogits: false,
    labels: true,
    taps: [],
    loss: supervised,
    optimizer: sgd({ momentum: 0 }),
    freeze: [],
    trainStatistics: true,
    target: targets.cpu,
    ...options,
  });
}

export interface NodeLine {
  readonly op: string;
  /** Names of inputs, constants or earlier outputs; "" leaves one out. */
  readonly inputs: readonly string[];
  readonly output: string;
  /** Further outputs. */
  readonly also?: readonly string[];
  readonly attributes?: Attributes;
  readonly domain?: string;
}

/** A student of input "x" with the given dims, nodes named after their outputs; the last output is the model's. */
export function smallStudent(
  dims: readonly number[],
  constants: Readonly<Record<string, Tensor>>,
  lines: readonly NodeLine[],
  options: {
    readonly opset?: number;
    readonly outputs?: readonly string[];
    readonly declared?: readonly ValueInfo[];
  } = {},
): Model {
  const opsets: [string, number][] = [["", options.opset ?? 17]];
  for (const { domain } of lines) if (domain) opsets.push([domain, 1]);
  const graph = new Graph("student", opsets);
  graph.addInput("x", { dtype: "float32", dims });
  for (const [name, value] of Object.entries(constants)) graph.addConstant(name, value);
  for (const { op, inputs, output, also = [], attributes = {}, domain = "" } of lines)
    graph.addNode({
      op,
      domain,
      name: `/${output}`,
      inputs: inputs.map((i) => (i === "" ? undefined : graph.find(i))),
      outputs: [output, ...also],
      attributes,
    });
  for (const name of options.outputs ?? [lines.at(-1)?.output as string])
    graph.addOutput(graph.find(name) as NonNullable<ReturnType<Graph["find"]>>);
  return readModel(writeGraph(graph, { declared: options.declared ?? [] }), { source: "student.onnx" });
}

/** Seeded uniform float32 numbers in [-1, 1]. */
export function randomTensor(seed: number, dims: readonly number[]): Tensor {
  const random = testRandom(seed);
  const size = dims.reduce((a, c) => a * c, 1);
  return tensor(
    "float32",
    Array.from({ length: size }, () => 2 * random() - 1),
    [...dims],
  );
}

/** A session's outputs `prefix + pack key`, unpacked to tensors by the names of the student's initialisers. */
export function unpacked(
  packs: CompiledStep["weights"],
  outputs: Readonly<Record<string, Tensor>>,
  nameOf: (key: string) => string,
): Map<string, Tensor> {
  const all = new Map<string, Tensor>();
  for (const pack of packs)
    for (const [name, t] of unpackTensors(pack, outputs[nameOf(pack.key)]?.data as Float32Array))
      all.set(name, t);
  return all;
}
