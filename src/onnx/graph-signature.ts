// What PyTorch's newer exporter (torch.export, dynamo) writes into a file about the program it came from: which names were
// parameters and which buffers, and of which traced operation each node is a part. Reads the text; decides nothing.
//
// The text is str(ExportedProgram.graph_signature) in the graph's metadata_props: since PyTorch 2.7 a line
// `p_a_weight: PARAMETER target='a.weight'` per input, before that the dataclass's own
// `InputSpec(kind=<InputKind.PARAMETER: 2>, arg=TensorArgument(name='p_a_weight'), target='a.weight', persistent=None)`.
import type { GraphProto, StringStringEntryProto } from "onnx-buf";
import type { Model } from "./model.ts";
import { originOf } from "./proto.ts";

export type SignatureKind = "PARAMETER" | "BUFFER" | "CONSTANT_TENSOR";

export interface SignatureEntry {
  readonly kind: SignatureKind;
  /** Its name in the traced program: `p_a_weight`. */
  readonly argument: string;
  /** Its name in the module: `a.weight`. */
  readonly target: string;
}

const signatureKey = "pkg.torch.export.ExportedProgram.graph_signature";
const operationKey = "pkg.torch.onnx.fx_node";
const scopesKey = "pkg.torch.onnx.name_scopes";

const kinds = "PARAMETER|BUFFER|CONSTANT_TENSOR";
const line = new RegExp(`^\\s*([\\w.]+): (${kinds}) target=(['"])(.*?)\\3`, "gm");
const spec = new RegExp(
  `InputSpec\\(kind=<?InputKind\\.(${kinds})\\b[^,]*, arg=TensorArgument\\(name=(['"])(.*?)\\2\\), target=(['"])(.*?)\\4`,
  "g",
);

/** The parameters, buffers and lifted constants that the text names; none where it is of a form that we don't know. */
export function parseGraphSignature(text: string): SignatureEntry[] {
  const lines = [...text.matchAll(line)].map(
    (m): SignatureEntry => ({
      argument: m[1] as string,
      kind: m[2] as SignatureKind,
      target: m[4] as string,
    }),
  );
  if (lines.length > 0) return lines;
  return [...text.matchAll(spec)].map((m) => ({
    kind: m[1] as SignatureKind,
    argument: m[3] as string,
    target: m[5] as string,
  }));
}

/** The operation of the traced program that a node is a part of. */
export interface TracedOperation {
  /** What it takes of the program's parameters, buffers and lifted constants. */
  readonly takes: readonly SignatureEntry[];
  /** The module that it belongs to: `encoder.0.norm`, "" for the outermost. */
  readonly module: string;
  /** As the program spells it: `%embedding : [num_users=1] = call_function[target=…](args = (…), kwargs = {})`. */
  readonly text: string;
}

export interface GraphSignature {
  /** What the program knows an initialiser as, by the name that it has in the file. */
  entry(name: string): SignatureEntry | undefined;
  /** Parameters of the program that no initialiser of the file holds under their own name. */
  readonly absent: ReadonlySet<SignatureEntry>;
  /** The operation behind the node with that output, where the file tells it. */
  operation(output: string): TracedOperation | undefined;
}

const signatures = new WeakMap<Model, GraphSignature | "none">();

/** Undefined where the file tells nothing, or nothing that fits its initialisers. */
export function graphSignature(model: Model): GraphSignature | undefined {
  let found = signatures.get(model);
  if (found === undefined)
    signatures.set(model, (found = signatureOf(originOf(model).proto.graph) ?? "none"));
  return found === "none" ? undefined : found;
}

/** The same of a message that is being read. */
export function signatureOf(g: GraphProto | undefined): GraphSignature | undefined {
  const text = g && property(g.metadataProps, signatureKey);
  const entries = text === undefined ? [] : parseGraphSignature(text);
  const named = new Map([
    ...entries.map((e) => [e.argument, e] as const),
    ...entries.map((e) => [e.target, e] as const),
  ]);
  const present = new Set(g?.initializer.flatMap((t) => named.get(t.name) ?? []));
  // Of a file whose initialisers were all renamed it says nothing.
  if (!g || present.size === 0) return undefined;
  const byArgument = new Map(entries.map((e) => [e.argument, e]));
  let operations: Map<string, TracedOperation> | undefined;
  return {
    entry: (name) => named.get(name),
    absent: new Set(entries.filter((e) => e.kind === "PARAMETER" && !present.has(e))),
    operation: (output) => (operations ??= operationsOf(g, byArgument)).get(output),
  };
}

function operationsOf(
  g: GraphProto,
  byArgument: ReadonlyMap<string, SignatureEntry>,
): Map<string, TracedOperation> {
  const found = new Map<string, TracedOperation>();
  for (const node of g.node) {
    const text = property(node.metadataProps, operationKey);
    if (text === undefined) continue;
    const takes = [...text.matchAll(/%([\w.]+)/g)].flatMap((m) => byArgument.get(m[1] as string) ?? []);
    const scopes = [...(property(node.metadataProps, scopesKey) ?? "").matchAll(/(['"])(.*?)\1/g)];
    // The last scope is the operation itself, the one before it the module that calls it.
    const operation: TracedOperation = { takes, module: scopes.at(-2)?.[2] ?? "", text };
    for (const y of node.output) found.set(y, operation);
  }
  return found;
}

function property(props: readonly StringStringEntryProto[], key: string): string | undefined {
  return props.find((p) => p.key === key)?.value;
}
