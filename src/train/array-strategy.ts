// Trains with a strategy that exists on arrays only, by the slower way round: the student's forward pass, the strategy's
// loss and gradient in TypeScript, then a compiled step whose loss is Σ gradient · output, so that its backward pass starts
// from the strategy's gradient.
import { DistillError } from "../base/errors.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { typeOf } from "../graph/graph.ts";
import type { LossEmission } from "../losses/index.ts";
import { neuronAxis } from "../losses/selectivity.ts";
import {
  type DistillationStrategy,
  type IntermediateActivationStrategy,
  IntermediateActivations,
  Matrix,
} from "../strategies/index.ts";
import { labelRows, rowsOfTensor } from "../tasks/index.ts";
import type { TeacherOutputs } from "./teacher.ts";

const seedLogits = "seed/logits";
const seedTap = (tap: string): string => `seed/tap/${tap}`;

/** Σ seed · value over the logits and the taps, the seeds being inputs of the step. */
export const seeded: LossEmission = {
  unequalNeurons: true, // The strategy sees both sides, and refuses what it does not take.
  emit: ({ b, studentLogits, taps }) => {
    const term = (name: string, value: typeof studentLogits) =>
      b.reduceSum(b.mul(value, b.graph.addInput(name, typeOf(value))));
    const parts = [term(seedLogits, studentLogits), ...taps.map((t) => term(seedTap(t.name), t.student))];
    return [{ name: "seeded", value: parts.reduce((a, c) => b.add(a, c)) }];
  },
};

export interface ArrayLoss {
  readonly losses: Record<string, number>;
  /** Feeds of the seeded step. */
  readonly seeds: Record<string, Tensor>;
}

/**
 * The strategy's loss and gradient for one batch. `student.logits` are rows [R, C] and `student.taps` by tap name, as the
 * graph gives them; `feeds` are the step's, of which labels and row weights count here. Rows of weight 0 are not shown to
 * the strategy, and have no gradient.
 */
export function arrayLoss(
  strategy: DistillationStrategy,
  student: TeacherOutputs,
  teacher: TeacherOutputs,
  feeds: Readonly<Record<string, Tensor>>,
): ArrayLoss {
  const labels = feeds[names.labels];
  const counted = countedRows(student.logits, feeds[names.rowWeights]);
  const s = pick(student.logits, counted);
  const t = pick(rowsOfTensor(teacher.logits), counted);
  const y = labels && pick(labelRows(labels, student.logits.dims), counted);
  const output = s.rows === 0 ? 0 : strategy.computeLoss(s, t, y);
  const gradient = s.rows === 0 ? s : strategy.computeGradient(s, t, y);
  const seeds: Record<string, Tensor> = { [seedLogits]: putBack(student.logits, counted, gradient) };
  let intermediate = 0;
  if (hasIntermediate(strategy)) {
    const [ofStudent, ofTeacher] = [activations(student), activations(teacher)];
    intermediate = strategy.computeIntermediateLoss(ofStudent, ofTeacher);
    const gradients = strategy.computeIntermediateGradient(ofStudent, ofTeacher);
    for (const [name, value] of Object.entries(student.taps)) {
      const gradient = gradients.get(name);
      if (gradient) seeds[seedTap(name)] = like(value, gradient);
    }
  }
  for (const [name, value] of Object.entries(student.taps))
    seeds[seedTap(name)] ??= {
      dtype: "float32",
      dims: value.dims,
      data: new Float32Array(sizeOf(value.dims)),
    };
  return {
    losses: {
      loss: output + intermediate,
      "loss/output": output,
      ...(hasIntermediate(strategy) ? { "loss/intermediate": intermediate } : {}),
    },
    seeds,
  };
}

/** The rows whose weight is not 0; undefined: all of them. */
function countedRows({ dims }: Tensor, weights: Tensor | undefined): number[] | undefined {
  if (!weights) return undefined;
  const data = weights.data as Float32Array;
  const counted = Array.from({ length: dims[0] as number }, (_, i) => i).filter((i) => data[i] !== 0);
  return counted.length === data.length ? undefined : counted;
}

function pick(rows: Tensor, counted: readonly number[] | undefined): Matrix {
  const [n, columns] = rows.dims as readonly [number, number];
  const data = rows.data as Float32Array;
  if (!counted) return new Matrix(n, columns, data);
  const picked = new Float32Array(counted.length * columns);
  counted.forEach((row, i) => {
    picked.set(data.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  return new Matrix(counted.length, columns, picked);
}

/** A gradient of the rows that count, as one of all rows. */
function putBack(rows: Tensor, counted: readonly number[] | undefined, gradient: Matrix): Tensor {
  if (!counted) return like(rows, gradient);
  const columns = rows.dims[1] as number;
  const own = like({ ...rows, dims: [counted.length, columns] }, gradient).data as Float32Array;
  const data = new Float32Array(sizeOf(rows.dims));
  counted.forEach((row, i) => {
    data.set(own.subarray(i * columns, (i + 1) * columns), row * columns);
  });
  return { dtype: "float32", dims: rows.dims, data };
}

function hasIntermediate(
  s: DistillationStrategy,
): s is DistillationStrategy & IntermediateActivationStrategy {
  return "computeIntermediateLoss" in s && "computeIntermediateGradient" in s;
}

function activations(outputs: TeacherOutputs): IntermediateActivations {
  const all = new IntermediateActivations();
  for (const [name, t] of Object.entries(outputs.taps)) all.add(name, t);
  return all;
}

/** [samples, neurons] of a tensor [N, C], [N, T, C] or [N, C, …space]. */
export function asMatrix(t: Tensor): Matrix {
  const neurons = t.dims[neuronAxis(t.dims.length)] as number;
  const data = t.data as Float32Array;
  if (t.dims.length < 4) return new Matrix(data.length / neurons, neurons, data);
  return new Matrix(data.length / neurons, neurons, moveNeurons(data, t.dims, "last"));
}

/** A gradient [samples, neurons] in the layout of the tensor it belongs to. */
function like(t: Tensor, gradient: Matrix): Tensor {
  const neurons = t.dims[neuronAxis(t.dims.length)] as number;
  if (gradient.columns !== neurons || gradient.rows * gradient.columns !== sizeOf(t.dims))
    throw new DistillError(
      "E_SHAPE",
      `the strategy's gradient is [${gradient.rows},${gradient.columns}] for a value of shape [${t.dims}]; return one like its first argument`,
    );
  const data = Float32Array.from(gradient.data);
  return {
    dtype: "float32",
    dims: t.dims,
    data: t.dims.length < 4 ? data : moveNeurons(data, t.dims, "second"),
  };
}

/** [N, C, L] -> [N, L, C] ("last") or back ("second"). */
function moveNeurons(data: Float32Array, dims: readonly number[], to: "last" | "second"): Float32Array {
  const [n, c] = dims as [number, number];
  const length = data.length / (n * c);
  const out = new Float32Array(data.length);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < c; k++)
      for (let l = 0; l < length; l++) {
        const second = (i * c + k) * length + l;
        const last = (i * length + l) * c + k;
        if (to === "last") out[last] = data[second] as number;
        else out[second] = data[last] as number;
      }
  return out;
}
