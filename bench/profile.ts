// Where the time of a compiled step goes, by ONNX Runtime's own profiler: milliseconds per step by kind of op, and by the
// part of the step that a node belongs to. Calls onnxruntime-node directly: the product's adapter has no need of profiles.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { sizeOf, type Tensor } from "../src/base/tensor.ts";
import { type CompiledStep, names } from "../src/compile/compile-step.ts";
import { writeGraph } from "../src/onnx/write-graph.ts";
import { spreadOf } from "./measure.ts";

export interface Profile {
  /** Milliseconds per step, the largest first. */
  readonly byOp: readonly OpTime[];
  readonly byPart: readonly { readonly part: string; readonly ms: number }[];
  /** The most expensive single nodes. */
  readonly nodes: readonly { readonly node: string; readonly op: string; readonly ms: number }[];
}

export interface OpTime {
  readonly op: string;
  readonly ms: number;
  readonly calls: number;
  /** Multiplications and additions of products and convolutions, in 10⁹. */
  readonly gflop: number;
  /** Bytes read and written, in 10⁶. */
  readonly megabytes: number;
}

/** One entry per tensor, by element type. */
type Types = readonly Readonly<Record<string, readonly number[]>>[];

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: Types;
    readonly output_type_shape?: Types;
  };
}

export async function profileStep(
  compiled: CompiledStep,
  feeds: Readonly<Record<string, Tensor>>,
  threads: number,
  runs = 20,
): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), "onnx-distill-profile-"));
  try {
    const session = await ort.InferenceSession.create(writeGraph(compiled.step), {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      enableProfiling: true,
      profileFilePrefix: join(folder, "profile"),
      logSeverityLevel: 4,
    });
    const given: Record<string, ort.Tensor> = {};
    for (const [name, t] of Object.entries(feeds)) given[name] = toOrt(t);
    for (const [key, data] of compiled.initial)
      given[names.state(key)] = new ort.Tensor("float32", data.slice(), [data.length]);
    for (const [name, value] of Object.entries(compiled.optimizer.scalars(0, 0.01)))
      given[names.scalar(name)] = new ort.Tensor("float32", Float32Array.of(value), []);
    const warmUp = 3;
    for (let i = 0; i < warmUp + runs; i++) await session.run(given);
    session.endProfiling();
    await session.release();
    const file = readdirSync(folder)[0] as string;
    const events = JSON.parse(readFileSync(join(folder, file), "utf8")) as ProfileEvent[];
    return summed(events, runs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const toOrt = (t: Tensor): ort.Tensor =>
  new ort.Tensor(t.dtype as "float32", t.data as Float32Array, [...t.dims]);

/** A node's time is the least over the runs: on a shared machine the nearest to what it takes alone. */
function summed(events: readonly ProfileEvent[], runs: number): Profile {
  const times = new Map<string, { durations: number[]; event: ProfileEvent }>();
  for (const event of events) {
    if (event.cat !== "Node" || !event.name.endsWith("_kernel_time")) continue;
    const known = times.get(event.name) ?? { durations: [], event };
    known.durations.push(event.dur);
    times.set(event.name, known);
  }
  const ops = new Map<string, OpTime>();
  const parts = new Map<string, number>();
  const nodes: { node: string; op: string; ms: number }[] = [];
  for (const [name, { durations, event }] of times) {
    const node = name.replace(/_kernel_time$/, "");
    const op = event.args?.op_name ?? "?";
    const ms = spreadOf(durations.slice(-runs)).best / 1000;
    const { gflop, megabytes } = workOf(op, event);
    const known = ops.get(op) ?? { op, ms: 0, calls: 0, gflop: 0, megabytes: 0 };
    ops.set(op, {
      op,
      ms: known.ms + ms,
      calls: known.calls + 1,
      gflop: known.gflop + gflop,
      megabytes: known.megabytes + megabytes,
    });
    const part = partOf(node);
    parts.set(part, (parts.get(part) ?? 0) + ms);
    nodes.push({ node, op, ms });
  }
  return {
    byOp: [...ops.values()].sort((a, b) => b.ms - a.ms),
    byPart: [...parts].map(([part, ms]) => ({ part, ms })).sort((a, b) => b.ms - a.ms),
    nodes: nodes.sort((a, b) => b.ms - a.ms).slice(0, 25),
  };
}

/** From the shapes alone: what a node has to compute and to move. */
function workOf(op: string, { args }: ProfileEvent): { gflop: number; megabytes: number } {
  const shapes = (types: Types = []): (readonly number[])[] => types.map((t) => Object.values(t)[0] ?? []);
  const [inputs, outputs] = [shapes(args?.input_type_shape), shapes(args?.output_type_shape)];
  const bytes = [...inputs, ...outputs].reduce((sum, dims) => sum + 4 * sizeOf(dims), 0);
  const megabytes = op === "Reshape" ? 0 : bytes / 1e6; // A Reshape's data stays where it is.
  const [a = [], w = []] = inputs;
  const y = outputs[0] ?? [];
  const perOutput = (): number => {
    if (op === "Conv") return sizeOf(w.slice(1));
    if (op === "ConvTranspose") return (sizeOf(a) * sizeOf(w.slice(1))) / sizeOf(y);
    // A product [batch, M, K] · [batch or 1, K, N].
    if (["MatMul", "FusedMatMul", "Gemm", "FusedGemm"].includes(op))
      return Math.sqrt((sizeOf(a) * sizeOf(w)) / sizeOf(y) / sizeOf(w.slice(0, -2)));
    return 0;
  };
  return { gflop: (2 * sizeOf(y) * perOutput()) / 1e9, megabytes };
}

/** Emitted nodes are named after what they belong to; nodes that the runtime made itself may have lost their name. */
function partOf(node: string): string {
  const first = node.split("/")[0] as string;
  return ["grad", "loss", "optimizer", "output"].includes(first) ? first : "forward";
}
