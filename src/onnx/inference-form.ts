// A model whose layers are all in inference mode. PyTorch exports with `training=` TRAINING or PRESERVE leave
// BatchNormalization and Dropout in training mode: run so, what a sample gets depends on the other samples, or on chance.
// How a layer is trained is the compiler's affair; what is evaluated, asked and delivered has to be the inference form.
import type { GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { fromProto } from "./edit-model.ts";
import type { Model } from "./model.ts";
import { domainOf, originOf, shallow } from "./proto.ts";

export interface InferenceForm {
  readonly model: Model;
  /** How many layers were in training mode, by op. */
  readonly changed: ReadonlyMap<string, number>;
  /**
   * Running statistics of BatchNormalizations that the file keeps in inference mode beside layers in training mode: kept so by
   * intention.
   */
  readonly kept: readonly string[];
}

/** The model itself where nothing in it is in training mode. */
export function inferenceForm(model: Model): InferenceForm {
  const { proto, file = proto, provenance } = originOf(model);
  const changed = new Map<string, number>();
  const kept: string[] = [];
  const isTrue = (name: string | undefined): boolean => {
    const value = name ? model.graph.find(name) : undefined;
    return Boolean(value && model.graph.constants.get(value)?.data[0]);
  };
  const opset = proto.opsetImport.find((o) => domainOf(o.domain) === "")?.version ?? 0n;
  const inTraining = (node: NodeProto): boolean => {
    if (domainOf(node.domain) !== "") return false;
    if (node.opType === "Dropout") return isTrue(node.input[2]);
    if (node.opType !== "BatchNormalization") return false;
    return opset < 14n
      ? node.output.length > 1
      : node.attribute.some((a) => a.name === "training_mode" && a.i !== 0n);
  };
  for (const node of proto.graph?.node ?? []) {
    if (inTraining(node)) changed.set(node.opType, (changed.get(node.opType) ?? 0) + 1);
    else if (node.opType === "BatchNormalization") kept.push(...node.input.slice(3, 5));
  }
  if (changed.size === 0) return { model, changed, kept: [] };
  const inferring = (node: NodeProto): NodeProto => {
    if (!inTraining(node)) return node;
    const copy = shallow(node);
    if (node.opType === "Dropout") copy.input = node.input.slice(0, 2);
    else {
      copy.attribute = node.attribute.filter((a) => a.name !== "training_mode");
      copy.output = node.output.slice(0, 1);
    }
    return copy;
  };
  const infer = (m: ModelProto): ModelProto => {
    const g = shallow(m.graph as GraphProto);
    g.node = g.node.map(inferring);
    const copy = shallow(m);
    copy.graph = g;
    copy.functions = m.functions.map((f) => Object.assign(shallow(f), { node: f.node.map(inferring) }));
    return copy;
  };
  const own = infer(proto);
  return { model: fromProto(own, model, file === proto ? own : infer(file), provenance), changed, kept };
}
