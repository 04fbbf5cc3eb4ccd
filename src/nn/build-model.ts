// Layers -> an ordinary ONNX model (opset 17, inference form), as if it had been exported from anywhere else.
import { checkKeys, DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { Graph, type Value } from "../graph/graph.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { writeGraph } from "../onnx/write-graph.ts";
import { type Dim, Draft, type Flow, type Layer, type Weight } from "./layer.ts";

export interface BuildModelOptions {
  /** The one input. An open dimension is a name: `["batch", 1, 28, 28]`. `dtype`: default "float32"; "int64" for token ids. */
  readonly input: {
    readonly name: string;
    readonly dims: readonly Dim[];
    readonly dtype?: "float32" | "int64";
  };
  /** Seed of the weights, a whole number. Default 0. */
  readonly seed?: number;
  /** Name of the model, for messages. Default "model". */
  readonly name?: string;
  /** Name of the output. Default the name given to the last layer, or else "logits". */
  readonly output?: string;
}

/**
 * The model that `layer` makes of the input. The same seed gives the same bytes; a weight depends on the seed and its name
 * alone, so a layer added elsewhere does not change it.
 *
 * Errors: E_SHAPE for layers that do not fit each other, E_NAME for a name that is taken twice, E_ARGUMENT for sizes out of
 * range, E_OPTION for unknown options; each names the layer.
 *
 * @example
 * const student = buildModel(
 *   { input: { name: "image", dims: ["batch", 1, 28, 28] }, seed: 0 },
 *   sequential(conv(8, 3, { padding: 1, bias: false }), batchNorm(), relu({ name: "features" }), globalAveragePool(), linear(10)),
 * );
 * await writeFile("student.onnx", modelBytes(student));
 */
export function buildModel(options: BuildModelOptions, layer: Layer): Model {
  checkKeys("buildModel", options, ["input", "seed", "name", "output"]);
  const { input, seed = 0, name = "model" } = options;
  checkInput(input);
  const draft = new Draft(seed, input.name);
  const x: Flow = { name: input.name, dims: input.dims, dtype: input.dtype ?? "float32", named: true };
  const y = draft.add(layer, x);
  if (y === x) throw new DistillError("E_ARGUMENT", `buildModel: "${name}" has no layers`);
  if (options.output !== undefined || !y.named) draft.rename(y, options.output ?? "logits", "the output");

  const graph = new Graph(name, [["", 17]]);
  const values = new Map<Flow | Weight, Value>([[x, graph.addInput(input.name)]]);
  for (const weight of draft.weights) {
    const dtype = weight.data instanceof Float32Array ? "float32" : "int64";
    values.set(weight, graph.addConstant(weight.name, { ...weight, dtype }));
  }
  for (const node of draft.nodes) {
    const made = graph.addNode({
      op: node.op,
      name: node.name,
      inputs: node.inputs.map((v) => values.get(v)),
      outputs: [node.output.name],
      attributes: node.attributes,
    });
    values.set(node.output, made.outputs[0] as Value);
  }
  graph.addOutput(values.get(y) as Value);
  const declared = [x, y].map(
    (flow): ValueInfo => ({ name: flow.name, dtype: flow.dtype ?? "float32", dims: flow.dims }),
  );
  return readModel(writeGraph(graph, { declared }), { source: name });
}

function checkInput(input: BuildModelOptions["input"]): void {
  checkKeys("buildModel: input", input, ["name", "dims", "dtype"]);
  if (input.name.trim() === "") throw new DistillError("E_ARGUMENT", "buildModel: the input needs a name");
  if (input.dims.some((d) => (typeof d === "number" ? !Number.isInteger(d) || d < 1 : d.trim() === "")))
    throw new DistillError(
      "E_ARGUMENT",
      `buildModel: the input's dimensions must be whole numbers from 1 on, or names, got ${formatShape(input.dims)}`,
    );
}
