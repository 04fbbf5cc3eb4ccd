// ONNX's own backend tests, as Debian packs them (libonnx-testdata): models of one op with inputs and outputs. Each goes the
// way of a student: read, observed, emitted as a step emits it, run, and held to the outputs that are stored with it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type TensorProto, TensorProtoSchema } from "onnx-buf";
import { DistillError } from "../../src/base/errors.ts";
import { formatShape, isFloat, sameShape, type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { emitForward, pathTo } from "../../src/compile/student-forward.ts";
import { typeOf, type Value } from "../../src/graph/graph.ts";
import { addAllOutputs } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { parseProto, readModel } from "../../src/onnx/read-model.ts";
import { decodeTensor } from "../../src/onnx/tensor-proto.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { tableKey } from "../../src/ops/builder.ts";
import { isRefusal } from "../../src/ops/define.ts";
import { inferenceHooks } from "../../src/ops/emit-node.ts";
import { newBuilder, opTable } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { observe } from "../../src/runtime/observe.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";

export const suiteRoot = "/usr/share/libonnx-testdata/data";
export const suiteInstalled = existsSync(suiteRoot);

/** Tolerances of onnx.backend.test where a test names none. */
const [relative, absolute] = [1e-3, 1e-7];

export interface SuiteResult {
  readonly name: string;
  readonly ops: readonly string[];
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly kind: "agrees" }
  | { readonly kind: "differs"; readonly what: string }
  | { readonly kind: "not run"; readonly why: string };

/** The folders of all tests, by name. */
export function suiteCases(): string[] {
  return readdirSync(suiteRoot)
    .flatMap((kind) => readdirSync(join(suiteRoot, kind)).map((name) => join(kind, name)))
    .filter((name) => existsSync(join(suiteRoot, name, "model.onnx")))
    .sort();
}

const drawn = "what is dropped is drawn at random";
const otherNumbers = "ONNX Runtime gives other numbers than the suite; the step gives the runtime's";
const noTensors = "lists, optional values and bfloat16 are no tensors of a student";
const runtime = createNodeRuntime({ threads: 1 });

interface Stored {
  readonly protos: readonly TensorProto[];
  readonly tensors: readonly (Tensor | undefined)[];
}

export async function runSuiteCase(name: string): Promise<SuiteResult> {
  const folder = join(suiteRoot, name);
  const bytes = readFileSync(join(folder, "model.onnx"));
  const proto = parseProto(bytes, name);
  const ops = [...new Set((proto.graph?.node ?? []).map((n) => tableKey(n.opType, n.domain)))];
  const inputs = stored(folder, "input");
  const outputs = stored(folder, "output");
  const result = (outcome: Outcome): SuiteResult => ({ name, ops, outcome });
  const declared = proto.graph?.input.map(
    (x) => x.type?.value.case === "tensorType" && x.type.value.value.elemType,
  );
  if (inputs.protos.some((t, i) => declared?.[i] !== t.dataType))
    return result({ kind: "not run", why: noTensors });
  if ([...inputs.tensors, ...outputs.tensors].includes(undefined))
    return result({ kind: "not run", why: noTensors });
  let last: Outcome = { kind: "not run", why: "no way to run it" };
  for (const fixed of choices(inputs.tensors as Tensor[])) {
    const outcome = await attempt(name, bytes, inputs, outputs, fixed);
    if (outcome.kind !== "not run") return result(outcome);
    last = outcome;
  }
  return result(last);
}

/** Which inputs are constants of the model: none; those that say how (axes, shapes, counts); all but the first; all. */
function choices(inputs: readonly Tensor[]): number[][] {
  const all = inputs.map((_, i) => i);
  const ways = [[], all.filter((i) => !isFloat((inputs[i] as Tensor).dtype)), all.slice(1), all];
  return ways.filter((way, i) => ways.findIndex((w) => w.join() === way.join()) === i);
}

async function attempt(
  name: string,
  bytes: Uint8Array,
  inputs: Stored,
  outputs: Stored,
  fixed: readonly number[],
): Promise<Outcome> {
  try {
    const model = withConstants(name, bytes, inputs, fixed);
    const feeds: Record<string, Tensor> = {};
    const names = parseProto(bytes, name).graph?.input.map((i) => i.name) ?? [];
    inputs.tensors.forEach((t, i) => {
      if (!fixed.includes(i)) feeds[names[i] as string] = t as Tensor;
    });
    for (const node of model.graph.nodes) {
      const definition = opTable.get(tableKey(node.op, node.domain));
      if (definition && isRefusal(definition))
        return { kind: "not run", why: `${node.op}: ${definition.refused}` };
    }
    return await forward(model, feeds, outputs);
  } catch (cause) {
    const why = (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ");
    return { kind: "not run", why: cause instanceof DistillError ? `${cause.code} ${why}` : why };
  }
}

async function forward(model: Model, feeds: Record<string, Tensor>, wanted: Stored): Promise<Outcome> {
  // Where the runtime itself has no kernel for the model, a step may still hold it.
  const known = new Map(
    await observe(model, runtime, feeds).then(
      ({ known }) => known,
      () => [],
    ),
  );
  // An op that the table has is emitted even where a student would compute it once, before training.
  for (const y of model.graph.outputs) known.delete(y);
  const b = newBuilder("step", targets.cpu);
  const given = new Map<Value, Value>(
    model.graph.inputs.map((x) => {
      const { dtype, dims } = feeds[x.name] as Tensor;
      return [x, b.graph.addInput(x.name, { dtype, dims })];
    }),
  );
  const values = emitForward(
    b,
    model,
    pathTo(model, model.graph.outputs, known),
    given,
    known,
    inferenceHooks,
  );
  const names = model.graph.outputs.map((y, i) => {
    const constant = model.graph.constants.get(y);
    const made = values.get(y) ?? (constant && b.constant(constant));
    if (!made) throw new Error(`output "${y.name}" is not made`);
    const copy = b.graph.addNode({
      op: "Identity",
      inputs: [made],
      outputs: [`y${i}`],
      types: [typeOf(made)],
    });
    b.graph.addOutput(copy.outputs[0] as Value);
    return `y${i}`;
  });
  b.graph.prune();
  const session = await runtime.load(writeGraph(b.graph));
  try {
    const used = Object.fromEntries(b.graph.inputs.map((x) => [x.name, feeds[x.name] as Tensor]));
    const found = await session.run(used);
    for (const [i, y] of names.entries()) {
      const what = difference(found[y] as Tensor, wanted.tensors[i] as Tensor);
      if (!what) continue;
      if (model.graph.nodes.some((n) => n.op === "Dropout")) return { kind: "not run", why: drawn };
      const theirs = (await itself(model, feeds))[i];
      return theirs && !difference(found[y] as Tensor, theirs)
        ? { kind: "not run", why: otherNumbers }
        : { kind: "differs", what: `output ${i}${what}` };
    }
    return { kind: "agrees" };
  } finally {
    await session.release();
  }
}

/** ONNX Runtime's own outputs. */
async function itself(model: Model, feeds: Record<string, Tensor>): Promise<(Tensor | undefined)[]> {
  const session = await runtime.load(addAllOutputs(model));
  try {
    const found = await session.run(feeds);
    return model.graph.outputs.map((y) => found[y.name]);
  } finally {
    await session.release();
  }
}

function withConstants(name: string, bytes: Uint8Array, inputs: Stored, fixed: readonly number[]): Model {
  if (fixed.length === 0) return readModel(bytes, { source: name });
  const proto = parseProto(bytes, name);
  const graph = proto.graph as NonNullable<typeof proto.graph>;
  for (const i of fixed)
    graph.initializer.push(
      create(TensorProtoSchema, {
        ...(inputs.protos[i] as TensorProto),
        name: (graph.input[i] as { name: string }).name,
      }),
    );
  graph.input = graph.input.filter((_, i) => !fixed.includes(i));
  return readModel(toBinary(ModelProtoSchema, proto), { source: name });
}

function difference(found: Tensor, wanted: Tensor): string | undefined {
  if (!sameShape(found.dims, wanted.dims))
    return ` is ${formatShape(found.dims)}, stored ${formatShape(wanted.dims)}`;
  // Numbers of eight bits are carried as floats.
  const carried = found.dtype === "float32" && (wanted.dtype === "uint8" || wanted.dtype === "int8");
  if (found.dtype !== wanted.dtype && !carried) return ` is ${found.dtype}, stored ${wanted.dtype}`;
  const [a, w] = [toNumbers(found), toNumbers(wanted)];
  const at = w.findIndex((v, i) => {
    const is = a[i] as number;
    if (Object.is(is, v) || is === v) return false;
    return !(Math.abs(is - v) <= absolute + relative * Math.abs(v));
  });
  return at < 0 ? undefined : `[${at}] is ${a[at]}, stored ${w[at]}`;
}

function stored(folder: string, kind: "input" | "output"): Stored {
  const data = join(folder, "test_data_set_0");
  const count = readdirSync(data).filter((f) => f.startsWith(`${kind}_`)).length;
  const protos = Array.from({ length: count }, (_, i) => {
    try {
      return fromBinary(TensorProtoSchema, readFileSync(join(data, `${kind}_${i}.pb`)));
    } catch {
      return create(TensorProtoSchema);
    }
  });
  const tensors = protos.map((p) => {
    try {
      return decodeTensor(p, kind, () => {
        throw new Error("external data");
      });
    } catch {
      return undefined;
    }
  });
  return { protos, tensors };
}
