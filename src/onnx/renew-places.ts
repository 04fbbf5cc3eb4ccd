// New elements for constants that lie outside of a file's main graph: in branches of If, in functions, in attributes of
// calls. Copies what leads to them and shares the rest.
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from "onnx-buf";
import { DistillError } from "../base/errors.ts";
import { type Tensor, toNumbers } from "../base/tensor.ts";
import { type Place, shallow } from "./proto.ts";
import { encodeTensor } from "./tensor-proto.ts";

/** The model with the given messages of it renewed, each in the encoding that it had. */
export function renewPlaces(proto: ModelProto, renewed: ReadonlyMap<Place, Tensor>): ModelProto {
  if (renewed.size === 0) return proto;
  const copy = shallow(proto);
  copy.graph = renewGraph(proto.graph as GraphProto, renewed);
  copy.functions = proto.functions.map((f) => {
    const changed = shallow(f);
    changed.node = f.node.map((n) => renewNode(n, renewed));
    changed.attributeProto = f.attributeProto.map((a) => renewAttribute(a, renewed));
    return changed;
  });
  return copy;
}

function renewGraph(g: GraphProto, renewed: ReadonlyMap<Place, Tensor>): GraphProto {
  const copy = shallow(g);
  copy.initializer = g.initializer.map((t) => {
    const weight = renewed.get(t);
    return weight ? encodeTensor(weight, t.name, t) : t;
  });
  copy.node = g.node.map((n) => renewNode(n, renewed));
  return copy;
}

function renewNode(node: NodeProto, renewed: ReadonlyMap<Place, Tensor>): NodeProto {
  const attributes = node.attribute.map((a) => renewAttribute(a, renewed));
  if (attributes.every((a, i) => a === node.attribute[i])) return node;
  const copy = shallow(node);
  copy.attribute = attributes;
  return copy;
}

function renewAttribute(a: AttributeProto, renewed: ReadonlyMap<Place, Tensor>): AttributeProto {
  const weight = renewed.get(a);
  if (weight) return withElements(a, weight);
  if (!a.g && a.graphs.length === 0) return a;
  const copy = shallow(a);
  if (a.g) copy.g = renewGraph(a.g, renewed);
  copy.graphs = a.graphs.map((g) => renewGraph(g, renewed));
  return copy;
}

function withElements(a: AttributeProto, weight: Tensor): AttributeProto {
  const copy = shallow(a);
  const numbers = toNumbers(weight);
  if (a.t) copy.t = encodeTensor(weight, a.t.name, a.t);
  else if (a.type === AttributeType.FLOAT) copy.f = numbers[0] as number;
  else if (a.type === AttributeType.FLOATS) copy.floats = numbers;
  else if (a.type === AttributeType.INT) copy.i = BigInt(numbers[0] as number);
  else if (a.type === AttributeType.INTS) copy.ints = numbers.map(BigInt);
  else throw new DistillError("E_MODEL", `attribute "${a.name}" holds no numbers that could be replaced`);
  return copy;
}
