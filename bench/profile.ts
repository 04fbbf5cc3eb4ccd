// Where the time of a compiled step goes, by ONNX Runtime's own profiler: milliseconds per step by kind of op, and by the
// part of the step that a node belongs to. Calls onnxruntime-node directly: the product's adapter has no need of profiles.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import type { Tensor } from "../src/base/tensor.ts";
import { type CompiledStep, names } from "../src/compile/compile-step.ts";
import { writeGraph } from "../src/onnx/write-graph.ts";

export interface Profile {
  /** Milliseconds per step, the largest first. */
  readonly byOp: readonly { readonly op: string; readonly ms: number; readonly calls: number }[];
  readonly byPart: readonly { readonly part: string; readonly ms: number }[];
  /** The most expensive single nodes. */
  readonly nodes: readonly { readonly node: string; readonly op: string; readonly ms: number }[];
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

export async function profileStep(
  compiled: CompiledStep,
  feeds: Readonly<Record<string, Tensor>>,
  threads: number,
  runs = 10,
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
    return summed(events, warmUp, runs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const toOrt = (t: Tensor): ort.Tensor =>
  new ort.Tensor(t.dtype as "float32", t.data as Float32Array, [...t.dims]);

function summed(events: readonly ProfileEvent[], warmUp: number, runs: number): Profile {
  const kernels = events.filter((e) => e.cat === "Node" && e.name.endsWith("_kernel_time"));
  const seen = new Map<string, number>();
  const ops = new Map<string, { ms: number; calls: number }>();
  const parts = new Map<string, number>();
  const nodes = new Map<string, { op: string; ms: number }>();
  for (const e of kernels) {
    const node = e.name.replace(/_kernel_time$/, "");
    const turn = seen.get(node) ?? 0;
    seen.set(node, turn + 1);
    if (turn < warmUp) continue;
    const op = e.args?.op_name ?? "?";
    const ms = e.dur / 1000 / runs;
    const known = ops.get(op) ?? { ms: 0, calls: 0 };
    ops.set(op, { ms: known.ms + ms, calls: known.calls + 1 / runs });
    const part = partOf(node);
    parts.set(part, (parts.get(part) ?? 0) + ms);
    nodes.set(node, { op, ms: (nodes.get(node)?.ms ?? 0) + ms });
  }
  return {
    byOp: [...ops].map(([op, v]) => ({ op, ...v })).sort((a, b) => b.ms - a.ms),
    byPart: [...parts].map(([part, ms]) => ({ part, ms })).sort((a, b) => b.ms - a.ms),
    nodes: [...nodes]
      .map(([node, v]) => ({ node, ...v }))
      .sort((a, b) => b.ms - a.ms)
      .slice(0, 25),
  };
}

/** Emitted nodes are named after what they belong to; nodes that the runtime made itself may have lost their name. */
function partOf(node: string): string {
  const first = node.split("/")[0] as string;
  return ["grad", "loss", "optimizer", "output"].includes(first) ? first : "forward";
}
