// Students of many small nodes, for what reading, observing and compiling them cost: their arithmetic is next to nothing.
import { sizeOf, tensor } from "../src/base/tensor.ts";
import { compileStep } from "../src/compile/compile-step.ts";
import { type Attributes, Graph, int, type Value } from "../src/graph/graph.ts";
import { emissionOf } from "../src/losses/index.ts";
import { readModel } from "../src/onnx/read-model.ts";
import { writeGraph } from "../src/onnx/write-graph.ts";
import { targets } from "../src/ops/target.ts";
import { sgd } from "../src/optim/sgd.ts";
import { prepareStudent } from "../src/prepare/prepare-student.ts";
import { exampleFeeds } from "../src/runtime/example-feeds.ts";
import { observe } from "../src/runtime/observe.ts";
import type { Runtime } from "../src/runtime/session.ts";
import { ResponseDistillationStrategy } from "../src/strategies/index.ts";
import { tapCandidates } from "../src/taps/candidates.ts";
import { taskNamed } from "../src/tasks/index.ts";

export const nodeCounts = [10, 100, 1000, 5000] as const;

const [batch, width] = [4, 8];

class Sketch {
  readonly graph = new Graph("many nodes", [["", 17]]);

  node(op: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    const name = this.graph.freeName(op);
    return this.graph.addNode({ op, inputs, name, outputs: [name], attributes }).outputs[0] as Value;
  }

  /** Small, so that thousands of residual sums stay finite. */
  weight(...dims: number[]): Value {
    const data = Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(1 + i) / 1000);
    return this.graph.addConstant(this.graph.freeName("weight"), { dtype: "float32", dims, data });
  }

  write(output: Value): Uint8Array {
    this.graph.addOutput(output);
    return writeGraph(this.graph);
  }
}

export const nodeKinds = {
  /** Ten nodes a block: a shape taken apart and put together, a linear layer, ReLU, a scale, a residual sum. */
  linear: (count: number): Uint8Array => {
    const s = new Sketch();
    const whole = (...numbers: number[]) =>
      s.graph.addConstant(s.graph.freeName("whole"), tensor("int64", numbers));
    const [first, rest] = [whole(0), whole(width)];
    let x = s.graph.addInput("x", { dtype: "float32", dims: [batch, width] });
    for (let i = 0; i < count / 10; i++) {
      const samples = s.node("Identity", [s.node("Gather", [s.node("Shape", [x]), first])]);
      const laidOut = s.node("Reshape", [x, s.node("Concat", [samples, rest], { axis: int(0) })]);
      const y = s.node("Add", [s.node("MatMul", [laidOut, s.weight(width, width)]), s.weight(width)]);
      x = s.node("Add", [x, s.node("Mul", [s.node("Relu", [y]), s.weight(width)])]);
    }
    return s.write(x);
  },
  /** Five nodes a block, with a bias that all share as untrained exports have it; the blocks' means are put together. */
  convolutions: (count: number): Uint8Array => {
    const s = new Sketch();
    const bias = s.graph.addConstant("bias", {
      dtype: "float32",
      dims: [width],
      data: new Float32Array(width),
    });
    let x = s.graph.addInput("x", { dtype: "float32", dims: [batch, width, 4, 4] });
    const means: Value[] = [];
    for (let i = 0; i < count / 5; i++) {
      x = s.node("Add", [x, s.node("Relu", [s.node("Conv", [x, s.weight(width, width, 1, 1), bias])])]);
      means.push(s.node("Flatten", [s.node("GlobalAveragePool", [x])]));
    }
    return s.write(s.node("Concat", means, { axis: int(1) }));
  },
} satisfies Record<string, (count: number) => Uint8Array>;

export type NodeKind = keyof typeof nodeKinds;

/** Milliseconds of each part, in their order; `load` is what ONNX Runtime does with the step. */
export async function partsOf(
  kind: NodeKind,
  count: number,
  runtime: Runtime,
): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const timed = async <T>(part: string, work: () => T | Promise<T>): Promise<T> => {
    const began = performance.now();
    const made = await work();
    times[part] = performance.now() - began;
    return made;
  };
  const bytes = nodeKinds[kind](count);
  const model = await timed("read", () => readModel(bytes));
  const feeds = exampleFeeds(model, batch);
  const { types, known } = await timed("observe", () => observe(model, runtime, feeds));
  await timed("list taps", () => tapCandidates(model, { types, known, batch }));
  const prepared = await timed("prepare", () =>
    prepareStudent(model, {
      runtime,
      batch,
      feeds,
      activation: taskNamed().outputs,
      taps: [],
      insertBatchNorm: kind === "convolutions",
    }),
  );
  const compiled = await timed("compile", async () =>
    compileStep({
      student: prepared.model,
      values: prepared.values,
      known: prepared.observation.known,
      teacherLogits: true,
      labels: false,
      taps: [],
      loss: emissionOf(new ResponseDistillationStrategy())!,
      optimizer: sgd({ momentum: 0.9 }),
      freeze: [],
      trainStatistics: true,
      target: targets.cpu,
      convolutionBlock: await runtime.convolutionBlock?.(),
    }),
  );
  const step = await timed("write", () => writeGraph(compiled.step));
  const session = await timed("load", () => runtime.load(step));
  await session.release();
  return times;
}
