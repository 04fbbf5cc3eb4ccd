// Small students written as text, one node a line, so that spellings of the same layer can be read side by side:
//
//   mean = ReduceMean(x) axes=[-1] keepdims=1
//   a, b = Split(x, sizes) axis=1
//   y = com.microsoft::Gelu(a)
import type { Tensor } from "../../src/base/tensor.ts";
import { type Attribute, type Attributes, float, Graph, int, ints, string } from "../../src/graph/graph.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";

const line = /^\s*([\w, ]+?) = (?:([\w.]+)::)?(\w+)\(([^)]*)\)(.*)$/;

/** The student with input "x"; its last line's first value is the output. */
export function studentFromText(
  text: string,
  dims: readonly number[],
  constants: Readonly<Record<string, Tensor>>,
  opset: number,
): Model {
  const graph = new Graph("student", [
    ["", opset],
    ["com.microsoft", 1],
  ]);
  graph.addInput("x", { dtype: "float32", dims });
  for (const [name, value] of Object.entries(constants)) graph.addConstant(name, value);
  const lines = text.split("\n").filter((l) => l.trim() !== "");
  for (const l of lines) {
    const match = line.exec(l);
    if (!match) throw new Error(`not a node: ${l}`);
    const [, outputs, domain = "", op, inputs, attributes] = match as unknown as string[];
    const names = (s: string | undefined) => (s ?? "").split(",").map((n) => n.trim());
    graph.addNode({
      op: op as string,
      domain,
      name: `/${names(outputs)[0]}`,
      inputs: names(inputs).map((n) => (n === "" ? undefined : named(graph, n))),
      outputs: names(outputs),
      attributes: attributesOf(attributes as string),
    });
  }
  graph.addOutput(graph.nodes.at(-1)?.outputs[0] as NonNullable<ReturnType<Graph["find"]>>);
  return readModel(writeGraph(graph), { source: "student.onnx" });
}

function named(graph: Graph, name: string) {
  const found = graph.find(name);
  if (!found) throw new Error(`no value "${name}"`);
  return found;
}

const floats = (value: readonly number[]): Attribute => ({ kind: "floats", value });

function attributesOf(text: string): Attributes {
  const pairs = [...text.matchAll(/(\w+)=(\S+)/g)];
  return Object.fromEntries(pairs.map(([, key, value]) => [key as string, attribute(value as string)]));
}

/** 1: int; 1.0 and 1e-5: float; [1,2]: ints; [1.0,2.0]: floats; anything else: string. */
function attribute(text: string): Attribute {
  if (text.startsWith("[")) {
    const values = JSON.parse(text) as number[];
    return text.includes(".") ? floats(values) : ints(values);
  }
  if (/^-?\d+$/.test(text)) return int(Number(text));
  return Number.isNaN(Number(text)) ? string(text) : float(Number(text));
}
