// Where a file shows that an exporter has merged parameters which are not one: for separate-constants.ts.
import type { ModelProto, NodeProto, TensorProto } from "onnx-buf";
import { isFloat } from "../base/tensor.ts";
import type { GraphSignature, SignatureEntry } from "./graph-signature.ts";
import { domainOf, dtypeOf } from "./proto.ts";

const isFloatTensor = (t: TensorProto | undefined): boolean => isFloat(dtypeOf(t?.dataType ?? 0) ?? "bool");

/** Whether an Identity from one name to another is a merged copy of a parameter. */
export function copyTest(
  proto: ModelProto,
  constants: ReadonlyMap<string, TensorProto>,
): (from: string, name: string) => boolean {
  const torch = /^pytorch/i.test(proto.producerName);
  const isParameter = (name: string): boolean =>
    /^\w+(\.\w+)+$/.test(name) || (torch && /^[A-Za-z_]\w*$/.test(name));
  const both = (from: string, name: string): boolean => isParameter(from) && isParameter(name);
  const copies = (proto.graph?.node ?? []).some(
    ({ opType, input: [from = ""], output: [name = ""] }) =>
      opType === "Identity" && isFloatTensor(constants.get(from)) && both(from, name),
  );
  const isExporters = (name: string): boolean => /^onnx::\w+$/.test(name);
  return (from, name) =>
    isFloatTensor(constants.get(from)) &&
    (both(from, name) || (copies && isExporters(from) && isExporters(name)));
}

/**
 * Whether a node's name tells that it is in a call of the module that owns a parameter: `/n/Mul`, and the second time `/n_1/Mul`,
 * for `n.weight`. As TorchScript's exporter names nodes.
 */
export function isCallOf(node: string, parameter: string): boolean {
  const scopes = node.split("/").slice(1, -1);
  const modules = parameter.split(".").slice(0, -1);
  if (modules.length === 0 || !node.startsWith("/")) return false;
  // `/layers/layers.0/n/Mul` belongs to layers.0.n.
  const path = scopes.filter((s, i) => !scopes[i + 1]?.startsWith(`${s}.`)).flatMap((s) => s.split("."));
  return (
    path.length === modules.length &&
    modules.every((m, i) => path[i] === m || path[i]?.replace(/_\d+$/, "") === m)
  );
}

export interface MergedCopies {
  /** Slots that should take another initialiser than `name`, and its name. */
  readonly copies: readonly { index: number; slot: number; name: string; as: string; invented: boolean }[];
  /** Whether the file tells of which operations its nodes are parts. */
  readonly known: boolean;
}

/** Of initialisers that several traced operations take: one for each parameter that these name. */
export function copiesByOperation(
  signature: GraphSignature,
  nodes: readonly NodeProto[],
  constants: ReadonlyMap<string, TensorProto>,
  uniform: (name: string) => boolean,
): MergedCopies {
  const copies: MergedCopies["copies"][number][] = [];
  let known = false;
  /** The parameter that each initialiser without a name of its own stands for where it is met first. */
  const first = new Map<string, string>();
  const own = new Set<string>();
  const unclaimed: { index: number; slot: number; name: string }[] = [];
  nodes.forEach((node, index) => {
    const operation = signature.operation(node.output.find((y) => y !== "") ?? "");
    if (!operation) return;
    known = true;
    const inOrder = node.opType === "BatchNormalization" ? normalisationTakes(operation) : undefined;
    if (inOrder) {
      // By the slot: scale and variance, offset and mean of a layer that was not trained yet are one initialiser.
      node.input.forEach((name, slot) => {
        if (slot === 0 || !isFloatTensor(constants.get(name))) return;
        const [wanted, entry] = [inOrder[slot - 1], signature.entry(name)];
        if (!wanted) {
          if (entry) copies.push({ index, slot, name, as: `${name}_constant`, invented: true });
        } else if (!entry || entry === wanted) own.add(name);
        else copies.push({ index, slot, name, as: wanted.target, invented: false });
      });
      return;
    }
    const present = node.input.flatMap((name) => signature.entry(name) ?? []);
    const free = operation.takes.filter((e) => !present.includes(e));
    node.input.forEach((name, slot) => {
      if (!isFloatTensor(constants.get(name))) return;
      const entry = signature.entry(name);
      if (entry && operation.takes.includes(entry)) own.add(name);
      else if (free.length === 0) {
        if (!combinesValues.test(operation.text)) unclaimed.push({ index, slot, name });
      } else {
        const kind = entry ? kindOf(entry) : "weight";
        const alike = free.findIndex((e) => kindOf(e) === kind);
        const at = alike < 0 && free.length === 1 ? 0 : alike;
        if (at < 0) return;
        const [{ target }] = free.splice(at, 1) as [SignatureEntry];
        if (entry) copies.push({ index, slot, name, as: target, invented: false });
        // Its form is the exporter's, most often transposed, so the parameter's name would mislead.
        else if (!first.has(name)) first.set(name, target);
        else if (first.get(name) !== target)
          copies.push({ index, slot, name, as: `${name}_${target}`, invented: true });
      }
    });
  });
  // Ones and zeros of the exporter's own that were merged into a parameter.
  for (const place of unclaimed)
    if ((own.has(place.name) || first.has(place.name)) && uniform(place.name))
      copies.push({ ...place, as: `${place.name}_constant`, invented: true });
  return { copies, known };
}

/** What a BatchNormalization takes as scale, offset, mean and variance; without the first two where it learns none. */
function normalisationTakes({
  takes,
}: {
  readonly takes: readonly SignatureEntry[];
}): readonly (SignatureEntry | undefined)[] | undefined {
  if (takes.length === 4) return takes;
  const buffers = takes.length === 2 && takes.every((e) => e.kind === "BUFFER");
  return buffers ? [undefined, undefined, ...takes] : undefined;
}

/**
 * Arithmetic of two values of the program: a constant there that nothing in the program names was computed from parameters
 * (`weight + 1e-10`), and being equal to one it is merged with it. What the exporter adds itself stands beside one value.
 */
const combinesValues = /aten\.(add|sub|mul|div)\.\w+\]\(args = \(%[\w.]+, %/;

/** The last word of its name: `in_proj_weight` and `fc.weight` are weights. */
const kindOf = ({ target }: SignatureEntry): string => target.split(/[._]/).at(-1) as string;

/** Whether what nodes share directly may have been merged: a file that shows where it was merged shows all of it. */
export function mayBeMerged(
  proto: ModelProto,
  merged: MergedCopies | undefined,
  signature: GraphSignature | undefined,
): boolean {
  if (merged?.known) return false;
  const { node = [], initializer = [] } = proto.graph ?? {};
  if (signature) {
    const unnamed = initializer.filter(
      (t) => t.dims.length > 0 && isFloatTensor(t) && !signature.entry(t.name),
    );
    return signature.absent.size > unnamed.length;
  }
  // A trace without a simplifier after it: Constant nodes are where they were, and so would Identities be.
  return !(
    /^pytorch/i.test(proto.producerName) &&
    node.some((n) => n.opType === "Constant" && domainOf(n.domain) === "")
  );
}
