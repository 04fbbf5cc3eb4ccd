// PyTorch's exporters merge initialisers of equal value. In a model that was never trained those are the scales (all ones),
// biases (all zeros) and running statistics of different layers, and whole layers that were copied, which would then train as
// one, or be weight and statistic at once. Here each is given back its own initialiser. Knows Identity, and no other op.
import type { GraphProto, ModelProto, NodeProto, TensorProto } from "onnx-buf";
import { Names } from "../base/names.ts";
import { isFloat, sizeOf, type Tensor } from "../base/tensor.ts";
import { signatureOf } from "./graph-signature.ts";
import { copiesByOperation, copyTest, isCallOf, mayBeMerged } from "./merged-copies.ts";
import { domainOf, dtypeOf, shallow } from "./proto.ts";

export interface Separated {
  readonly proto: ModelProto;
  /** The constants that are of their own again, in order. */
  readonly copies: readonly SeparatedCopy[];
}

export interface SeparatedCopy {
  readonly name: string;
  /** The initialiser of the file that holds its numbers. */
  readonly of: string;
  /** The name stands in no file: it was made here. */
  readonly invented: boolean;
}

/**
 * Separated are float initialisers:
 *
 * - where an Identity gives one a second name that is a parameter's (`a.weight` -> `b.weight`), as TorchScript's exporter leaves
 *   merged copies (truly tied parameters have one name in a trace); in a file with such copies, names of the exporter's own too
 *   (`onnx::MatMul_27` -> `onnx::MatMul_28`);
 * - where the traced operations behind the nodes take different parameters (dynamo's metadata, see `graphSignature`);
 * - where all elements are equal: behind an Identity of any name, and vectors of two and more elements that several nodes, or
 *   several slots of one, take directly, as is left when a simplifier has removed the Identities, or where dynamo's
 *   metadata was removed and its signature has more parameters than the file.
 *
 * Not separated: other weights whose elements differ, which are tied on purpose, and what nodes share that have such a
 * weight in common, or whose names tell of calls of one module, for they are one layer.
 */
export function separateConstants(
  proto: ModelProto,
  decode: (t: TensorProto) => Tensor | undefined,
): Separated {
  const original = proto.graph as GraphProto;
  const constants = new Map(original.initializer.map((t) => [t.name, t]));
  const uniform = uniformity(constants, decode);
  const added: SeparatedCopy[] = [];
  const add = (name: string, from: string, invented: boolean): void => {
    constants.set(name, Object.assign(shallow(constants.get(from) as TensorProto), { name }));
    added.push({ name, of: added.find((c) => c.name === from)?.of ?? from, invented });
  };

  const outputs = new Set(original.output.map((o) => o.name));
  const isCopy = copyTest(proto, constants);
  const nodes = original.node.filter((node) => {
    const [from = "", name = ""] = [node.input[0], node.output[0]];
    if (node.opType !== "Identity" || domainOf(node.domain) !== "" || outputs.has(name)) return true;
    if (!uniform(from) && !isCopy(from, name)) return true;
    add(name, from, false);
    return false;
  });

  const names = new Names([...constants.keys(), ...nodes.flatMap((n) => n.output)]);
  const isWeight = (name: string): boolean =>
    isFloat(dtypeOf(constants.get(name)?.dataType ?? 0) ?? "bool") && !uniform(name);
  const renamed = nodes.map((node) => [...node.input]);
  const signature = signatureOf(original);
  const merged = signature && copiesByOperation(signature, nodes, constants, uniform);
  for (const { index, slot, name, as, invented } of merged?.copies ?? []) {
    if (!constants.has(as)) add(as, name, invented);
    (renamed[index] as string[])[slot] = as;
  }
  const direct = mayBeMerged(proto, merged, signature) ? sharedVectors(nodes, uniform, constants) : [];
  for (const [name, places] of direct) {
    /** One initialiser for each layer; where it lies, by the slot and a weight of the layer. */
    const layers: string[] = [];
    const layerWith = new Map<string, number>();
    for (const { index, slot } of places) {
      const node = nodes[index] as NodeProto;
      const keys = node.input.filter(isWeight).map((weight) => `${slot} ${weight}`);
      if (isCallOf(node.name, name)) keys.push(`${slot} its own module`);
      let layer = Math.min(...keys.map((key) => layerWith.get(key) ?? layers.length), layers.length);
      if (layer === layers.length) {
        layer = layers.push(layers.length === 0 ? name : names.take(name)) - 1;
        for (const key of keys) layerWith.set(key, layer);
      }
      const as = layers[layer] as string;
      if (as !== name && !constants.has(as)) add(as, name, true);
      (renamed[index] as string[])[slot] = as;
    }
  }

  if (added.length === 0) return { proto, copies: [] };
  const g = shallow(original);
  g.node = nodes.map((node, i) => {
    const input = renamed[i] as string[];
    return input.every((n, slot) => n === node.input[slot]) ? node : Object.assign(shallow(node), { input });
  });
  g.initializer = [...original.initializer, ...added.map(({ name }) => constants.get(name) as TensorProto)];
  // Before IR version 4 every initialiser is among the inputs too.
  const inputs = new Map(original.input.map((v) => [v.name, v]));
  g.input = [
    ...original.input,
    ...added.flatMap(({ name, of }) => {
      const declared = inputs.get(of);
      return declared ? [Object.assign(shallow(declared), { name })] : [];
    }),
  ];
  const copy = shallow(proto);
  copy.graph = g;
  return { proto: copy, copies: added };
}

/** Whether a name is that of a float initialiser with equal elements; larger ones are not looked into. */
function uniformity(
  constants: ReadonlyMap<string, TensorProto>,
  decode: (t: TensorProto) => Tensor | undefined,
): (name: string) => boolean {
  const largest = 1 << 16;
  const known = new Map<TensorProto, boolean>();
  return (name) => {
    const t = constants.get(name);
    if (!t) return false;
    let found = known.get(t);
    if (found === undefined) {
      const tensor = sizeOf(t.dims.map(Number)) <= largest ? decode(t) : undefined;
      const data = tensor && isFloat(tensor.dtype) ? tensor.data : [];
      found = data.length > 0 && data.every((e) => e === data[0]);
      known.set(t, found);
    }
    return found;
  };
}

/** Uniform vectors that are taken at more than one place, with the places. */
function sharedVectors(
  nodes: readonly NodeProto[],
  uniform: (name: string) => boolean,
  constants: ReadonlyMap<string, TensorProto>,
): [string, { index: number; slot: number }[]][] {
  const places = new Map<string, { index: number; slot: number }[]>();
  nodes.forEach((node, index) => {
    if (node.opType === "Identity") return; // Another name, which is an output: no layer.
    node.input.forEach((name, slot) => {
      const t = constants.get(name);
      if (t?.dims.filter((d) => Number(d) > 1).length !== 1 || !uniform(name)) return;
      const at = places.get(name) ?? [];
      places.set(name, at);
      at.push({ index, slot });
    });
  });
  return [...places].filter(([, at]) => at.length > 1);
}
