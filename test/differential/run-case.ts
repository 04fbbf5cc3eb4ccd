// Runs one node twice: by ONNX Runtime in the user's own spelling, and by ONNX Runtime in what the step makes of it. What is
// trained must be what is served, so the two must be equal, NaN and infinities at the same places.
import { DistillError } from "../../src/base/errors.ts";
import { formatShape, sameShape, type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { type Attribute, Graph, int, typeOf, type Value } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { isRefusal } from "../../src/ops/define.ts";
import { emitNode, inferenceHooks } from "../../src/ops/emit-node.ts";
import { newBuilder, type OpKey, opTable } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import type { Case } from "./case.ts";
import { Draw } from "./draw.ts";
import { generators } from "./generators/index.ts";

/** The largest error in units of what is tolerated; infinite where no number says how much. */
type Compared =
  | { readonly kind: "agrees"; readonly error: number }
  | { readonly kind: "differs"; readonly error: number; readonly what: string };

export type Outcome =
  | Compared
  /** ONNX Runtime takes the node itself for invalid, or has no kernel for it. */
  | { readonly kind: "invalid"; readonly why: string }
  /** We refuse the node, with a message to the user. */
  | { readonly kind: "refused"; readonly why: string };

/** The oldest opset that we read, and the newest that ONNX Runtime 1.30 loads. */
const oldest = 7;
const newest = 26;
/** As a served model is loaded, and as a step is. */
const runtime = createNodeRuntime({ threads: 1 });

const agreement: Compared = { kind: "agrees", error: 0 };

export const opKeys = Object.keys(generators) as readonly OpKey[];

/** The seed of the i-th case of an op in a run. */
export function caseSeed(seed: number, op: string, i: number): number {
  let h = 2166136261 ^ seed;
  for (const char of `${op}/${i}`) h = Math.imul(h ^ (char.codePointAt(0) as number), 16777619);
  return h >>> 0;
}

/** The node that belongs to a seed: any opset that we read and the runtime loads, the first and last of a version most often. */
export function drawCase(key: OpKey, seed: number): Case {
  const definition = opTable.get(key);
  if (!definition || isRefusal(definition)) throw new Error(`${key} is not in the op table`);
  const [op, domain = ""] = key.split("::").reverse() as [string, string | undefined];
  const d = new Draw(seed);
  const generator = generators[key];
  const { last, draw } = "draw" in generator ? generator : { last: newest, draw: generator };
  const opset = domain === "" ? drawOpset(d, definition.versions, last) : 1;
  return { op, domain, opset, seed, ...draw({ d, opset }) };
}

function drawOpset(d: Draw, versions: readonly number[], newest: number): number {
  const spans = versions
    .map((v, i) => [Math.max(v, oldest), Math.min((versions[i + 1] ?? newest + 1) - 1, newest)] as const)
    .filter(([first, last]) => first <= last);
  const [first, last] = d.pick(spans);
  return d.pick([first, last, d.int(first, last)]);
}

export async function runCase(c: Case): Promise<Outcome> {
  const feeds: Record<string, Tensor> = {};
  c.inputs.forEach((x, i) => {
    if (x && !x.known) feeds[`x${i}`] = x.tensor;
  });
  let theirs: Record<string, Tensor>;
  try {
    theirs = await run(userGraph(c), feeds);
  } catch (cause) {
    return { kind: "invalid", why: oneLine(cause) };
  }
  try {
    const { graph, outputs } = stepGraph(c);
    const ours = await run(graph, feeds);
    return outputs
      .filter((i) => theirs[`y${i}`] !== undefined && (c.compared?.includes(i) ?? true))
      .map((i) => compare(c, i, ours[`y${i}`] as Tensor, theirs[`y${i}`] as Tensor))
      .reduce((worst, next) => (next.error > worst.error ? next : worst), agreement);
  } catch (cause) {
    if (cause instanceof DistillError && cause.code !== "E_RUNTIME")
      return { kind: "refused", why: oneLine(cause) };
    return { kind: "differs", error: Number.POSITIVE_INFINITY, what: `fails: ${oneLine(cause)}` };
  }
}

async function run(graph: Graph, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await runtime.load(writeGraph(graph));
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

const opsetsOf = ({ domain, opset }: Case): [string, number][] =>
  domain === ""
    ? [["", opset]]
    : [
        ["", 21],
        [domain, opset],
      ];

/** The node as it stands in a user's model. */
function userGraph(c: Case): Graph {
  const graph = new Graph("user", opsetsOf(c));
  const node = addUserNode(graph, c, (i, t, known) =>
    known ? graph.addConstant(`x${i}`, t) : graph.addInput(`x${i}`, { dtype: t.dtype, dims: t.dims }),
  );
  for (const [i, y] of node.outputs.entries())
    if (y) graph.addOutput(c.asFloats ? castToFloat(graph, y, i) : y);
  return graph;
}

function addUserNode(graph: Graph, c: Case, input: (i: number, t: Tensor, known: boolean) => Value) {
  return graph.addNode({
    op: c.op,
    domain: c.domain,
    name: "node",
    inputs: c.inputs.map((x, i) => x && input(i, x.tensor, x.known)),
    outputs: Array.from({ length: c.outputs ?? 1 }, (_, i) => `${c.asFloats ? "q" : "y"}${i}`),
    ...(c.attributes && { attributes: c.attributes }),
  });
}

function castToFloat(graph: Graph, x: Value, i: number): Value {
  return graph.addNode({ op: "Cast", inputs: [x], outputs: [`y${i}`], attributes: { to: int(1) } })
    .outputs[0] as Value;
}

/** What the step makes of it, and which outputs that has. */
function stepGraph(c: Case): { graph: Graph; outputs: number[] } {
  const b = newBuilder("step", targets.cpu);
  const inputs = c.inputs.map(
    (x, i) =>
      x &&
      (x.known
        ? b.constant(x.tensor, `x${i}`)
        : b.graph.addInput(`x${i}`, { dtype: x.tensor.dtype, dims: x.tensor.dims })),
  );
  const user = userGraph(c).nodes[0];
  if (!user) throw new Error("no node");
  const made = emitNode(b, user, c.opset, inputs, inferenceHooks);
  const outputs: number[] = [];
  made.slice(0, c.outputs ?? 1).forEach((y, i) => {
    if (!y) return;
    // A value of its own: what is emitted may be an input, a constant, or one value twice.
    const named = b.graph.addNode({ op: "Identity", inputs: [y], outputs: [`y${i}`], types: [typeOf(y)] });
    b.graph.addOutput(named.outputs[0] as Value);
    outputs.push(i);
  });
  b.graph.prune();
  return { graph: b.graph, outputs };
}

function compare(c: Case, i: number, ours: Tensor, theirs: Tensor): Compared {
  const differs = (what: string, error = Number.POSITIVE_INFINITY) =>
    ({ kind: "differs", error, what: `output ${i}${what}` }) as const;
  if (!sameShape(ours.dims, theirs.dims))
    return differs(` is ${formatShape(ours.dims)}, the runtime's ${formatShape(theirs.dims)}`);
  if (!c.numbersAlone && ours.dtype !== theirs.dtype)
    return differs(` is ${ours.dtype}, the runtime's ${theirs.dtype}`);
  const [a, w] = [toNumbers(ours), toNumbers(theirs)];
  const { tolerance = 2e-6, scale = 1 } = c;
  let worst = { error: 0, at: -1 };
  w.forEach((wanted, k) => {
    const found = a[k] as number;
    const error =
      Object.is(found, wanted) || found === wanted
        ? 0
        : Number.isFinite(found) && Number.isFinite(wanted)
          ? Math.abs(found - wanted) / Math.max(Math.abs(found), Math.abs(wanted), scale) / tolerance
          : Number.POSITIVE_INFINITY;
    if (error > worst.error) worst = { error, at: k };
  });
  if (worst.error <= 1) return { kind: "agrees", error: worst.error };
  return differs(
    `[${worst.at}] is ${a[worst.at]}, the runtime's ${w[worst.at]} (${a} and ${w})`.slice(0, 900),
    worst.error,
  );
}

const oneLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ").slice(0, 300);

/** The case, so that it can be written down and run again. */
export function describeCase(c: Case): string {
  const inputs = c.inputs.map((x, i) =>
    x ? `  x${i}: ${x.known ? "constant " : ""}${describeTensor(x.tensor)}` : `  x${i}: left out`,
  );
  const attributes = Object.entries(c.attributes ?? {}).map(([name, a]) => `${name}=${describeAttribute(a)}`);
  const name = c.domain === "" ? c.op : `${c.domain}::${c.op}`;
  return [
    `${name}, opset ${c.opset}, --case ${c.seed}: ${attributes.join(", ") || "no attributes"}`,
    ...inputs,
  ].join("\n");
}

const describeTensor = ({ dtype, dims, data }: Tensor): string =>
  `${dtype}${formatShape(dims)} (${Array.from(data as ArrayLike<number | bigint>, String).slice(0, 64)}${data.length > 64 ? ", …" : ""})`;

const describeAttribute = (a: Attribute): string =>
  a.kind === "tensor" ? describeTensor(a.value) : a.kind === "opaque" ? "…" : JSON.stringify(a.value);
