// A reference evaluator of ONNX graphs in float64, for tests only: the truth that ONNX Runtime's float32 results and
// finite differences are held to. Written from the operator specification (ai.onnx opset 21, and com.microsoft
// FusedMatMul); must not import src/ops, src/autodiff or a runtime, or it would repeat their mistakes.
import { DistillError } from "../../src/base/errors.ts";
import { formatShape, isFloat, sameShape, type Tensor, type TensorType } from "../../src/base/tensor.ts";
import type { Graph, Node, Value } from "../../src/graph/graph.ts";
import { AttributeReader, fromTensor, type NDArray, type OperatorTable, settle, toTensor } from "./array.ts";
import { convolution } from "./convolution.ts";
import { elementwise } from "./elementwise.ts";
import { fourier } from "./fourier.ts";
import { indexing } from "./indexing.ts";
import { linear } from "./linear.ts";
import { movement } from "./movement.ts";
import { normalization } from "./normalization.ts";
import { reduction } from "./reduction.ts";
import { resizing } from "./resize.ts";
import { sampling } from "./sampling.ts";

/** Operators by name; those of another domain by "domain.name". */
export const operators: OperatorTable = {
  ...elementwise,
  ...reduction,
  ...linear,
  ...convolution,
  ...normalization,
  ...movement,
  ...indexing,
  ...resizing,
  ...sampling,
  ...fourier,
};

export interface EvaluateOptions {
  /** Hold each value's shape and kind of element to its `type`, where that is known. Default true. */
  readonly checkTypes?: boolean;
}

/**
 * Every value of `graph`, computed in float64 whatever the declared float type; integers keep their type, bools are 0 or 1.
 * `feeds` holds a tensor for each input; one under the name of a constant replaces that constant (so that finite
 * differences can perturb weights). Feeds are copied; tensors in the result may share data and are not to be written.
 *
 * Errors: E_OP for an op, an attribute or a form of them that the reference lacks; E_NAME for a missing or an unknown
 * feed; E_SHAPE where an op fails on its inputs, or where a value does not have the shape that its type declares.
 *
 * @example
 * const values = evaluate(graph, { x: tensor("float32", [1, 2]) });
 * const y = values.get(graph.outputs[0]!)!.data as Float64Array;
 */
export function evaluate(
  graph: Graph,
  feeds: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  options: EvaluateOptions = {},
): Map<Value, Tensor> {
  const checkTypes = options.checkTypes ?? true;
  const given = feeds instanceof Map ? new Map<string, Tensor>(feeds) : new Map(Object.entries(feeds));
  const arrays = new Map<Value, NDArray>();
  for (const value of [...graph.inputs, ...graph.constants.keys()]) {
    const t = given.get(value.name) ?? graph.constants.get(value);
    if (!t) throw new DistillError("E_NAME", `reference: input "${value.name}" is not fed`);
    given.delete(value.name);
    const a = fromTensor(t, `"${value.name}"`);
    if (checkTypes) checkType(value, a);
    arrays.set(value, a);
  }
  for (const name of given.keys())
    throw new DistillError("E_NAME", `reference: the feed "${name}" is neither an input nor a constant`);
  for (const node of graph.nodes) {
    const results = runNode(node, arrays);
    node.outputs.forEach((value, i) => {
      if (!value) return;
      const result = results[i];
      if (!result)
        throw new DistillError("E_OP", `reference: ${describe(node)} has no output ${i} in this form`);
      const a = settle(result);
      if (checkTypes) checkType(value, a);
      arrays.set(value, a);
    });
  }
  return new Map([...arrays].map(([value, a]) => [value, toTensor(a)]));
}

function describe(node: Node): string {
  return `${node.op} at node "${node.name}"`;
}

function runNode(node: Node, arrays: ReadonlyMap<Value, NDArray>): readonly NDArray[] {
  const key = node.domain === "" ? node.op : `${node.domain}.${node.op}`;
  const operator = operators[key];
  if (!operator) throw new DistillError("E_OP", `reference: no operator ${key}, at node "${node.name}"`);
  const inputs = node.inputs.map((value) => value && arrays.get(value));
  const attributes = new AttributeReader(node.attributes);
  let results: NDArray | readonly NDArray[];
  try {
    results = operator(inputs, attributes, node.outputs.length);
  } catch (cause) {
    const shapes = inputs.map((x) => (x ? formatShape(x.dims) : "none")).join(", ");
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new DistillError("E_SHAPE", `reference: ${describe(node)} on ${shapes}: ${message}`, { cause });
  }
  const unread = attributes.unread();
  if (unread.length > 0)
    throw new DistillError(
      "E_OP",
      `reference: ${describe(node)} has attributes not of opset 21: ${unread.join(", ")}`,
    );
  return Array.isArray(results) ? results : [results as NDArray];
}

function checkType(value: Value, a: NDArray): void {
  const declared: TensorType | undefined = value.type;
  if (!declared) return;
  const sameKind = isFloat(declared.dtype) ? isFloat(a.dtype) : declared.dtype === a.dtype;
  if (sameKind && sameShape(declared.dims, a.dims)) return;
  throw new DistillError(
    "E_SHAPE",
    `reference: "${value.name}" is declared ${declared.dtype} ${formatShape(declared.dims)}, but is ${a.dtype} ${formatShape(a.dims)}`,
  );
}
