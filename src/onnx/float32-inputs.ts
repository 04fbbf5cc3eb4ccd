// A model whose inputs of 16-bit floats take float32: a Cast in front, in the copy that is run. Every data set is float32,
// and onnxruntime-node takes no 16-bit floats where JavaScript has a Float16Array of its own (Node 24).
import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
} from "onnx-buf";
import { int } from "../graph/graph.ts";
import { encodeNode, fromProto } from "./edit-model.ts";
import type { Model } from "./model.ts";
import { dataTypeOf, originOf, shallow } from "./proto.ts";

/**
 * The model itself where it has no such input. Names of inputs stay; a value that is new is called `<input>/<its type>`. What
 * `withWeights` gives has the inputs of the file.
 */
export function withFloat32Inputs(model: Model): Model {
  const narrow = model.inputs.filter((i) => i.dtype === "float16" || i.dtype === "bfloat16");
  if (narrow.length === 0) return model;
  const { proto, file = proto, provenance } = originOf(model);
  const g = shallow(proto.graph as GraphProto);
  const names = new Map<string, string>();
  const casts: NodeProto[] = [];
  for (const { name, dtype } of narrow) {
    let inner = `${name}/${dtype}`;
    while (model.graph.has(inner)) inner += "_";
    names.set(name, inner);
    casts.push(
      encodeNode({
        op: "Cast",
        name: inner,
        inputs: [name],
        outputs: [inner],
        attributes: { to: int(dataTypeOf(dtype)) },
      }),
    );
  }
  const asFloat32 = (v: ValueInfoProto): ValueInfoProto => (names.has(v.name) ? ofFloat32(v) : v);
  g.input = g.input.map(asFloat32);
  g.output = g.output.map(asFloat32);
  g.node = [...casts, ...g.node.map((node) => taking(node, names))];
  const changed = shallow(proto);
  changed.graph = g;
  return fromProto(changed, model, file, provenance, () => originOf(model).bytes);
}

function ofFloat32(v: ValueInfoProto): ValueInfoProto {
  if (v.type?.value.case !== "tensorType") return v;
  const { shape } = v.type.value.value;
  const type = create(TypeProto_TensorSchema, { elemType: dataTypeOf("float32"), ...(shape && { shape }) });
  const copy = shallow(v);
  copy.type = create(TypeProtoSchema, { value: { case: "tensorType", value: type } });
  return copy;
}

/** The node with other names for what it takes, also in its subgraphs: names are not given twice there. */
function taking(node: NodeProto, names: ReadonlyMap<string, string>): NodeProto {
  const inside = node.attribute.some((a) => a.g || a.graphs.length > 0);
  if (!inside && !node.input.some((x) => names.has(x))) return node;
  const copy = shallow(node);
  copy.input = node.input.map((x) => names.get(x) ?? x);
  if (inside)
    copy.attribute = node.attribute.map((a): AttributeProto => {
      const attribute = shallow(a);
      if (a.g) attribute.g = takingAll(a.g, names);
      attribute.graphs = a.graphs.map((g) => takingAll(g, names));
      return attribute;
    });
  return copy;
}

function takingAll(graph: GraphProto, names: ReadonlyMap<string, string>): GraphProto {
  const copy = shallow(graph);
  copy.node = graph.node.map((node) => taking(node, names));
  copy.output = graph.output.map((o) => {
    const inner = names.get(o.name);
    return inner === undefined ? o : Object.assign(shallow(o), { name: inner });
  });
  return copy;
}
