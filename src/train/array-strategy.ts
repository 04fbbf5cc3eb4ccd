// Trains with strategies that exist on arrays only, by the slower way round: the student's forward pass, the strategies'
// losses and gradients in TypeScript, then a compiled step whose loss has the term Σ gradient · value, so that its backward
// pass starts from their gradients.
import { DistillError, didYouMean } from "../base/errors.ts";
import { moveNeurons, neuronAxis } from "../base/layout.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import { names } from "../compile/compile-step.ts";
import { typeOf } from "../graph/graph.ts";
import type { LossEmission } from "../losses/index.ts";
import { IntermediateActivations, Matrix, type Progress, type StrategyPart } from "../strategies/index.ts";
import { type AnyStrategy, hasIntermediateLoss, hasOutputLoss, isGraphOnly } from "../strategies/strategy.ts";
import { labelRows, rowsOfTensor } from "../tasks/index.ts";
import { sampleClasses } from "./sample-classes.ts";
import type { TeacherOutputs } from "./teacher.ts";

/** Name of the term that carries the gradients: no loss, so not for the log. */
const seedTerm = "seeded";
/** What a strategy calls its layer when nobody named it. */
const anyLayer = "default";

/** Σ seed · value over the logits and the taps, the seeds being inputs of the step. */
export const seeded: LossEmission = {
  unequalNeurons: () => true, // The strategy sees both sides, and refuses what it does not take.
  emit: ({ b, studentLogits, taps }) => {
    const term = (name: string, value: typeof studentLogits) =>
      b.reduceSum(b.mul(value, b.graph.addInput(name, typeOf(value))));
    const parts = [
      term(names.seedLogits, studentLogits),
      ...taps.map((t) => term(names.seedTap(t.name), t.student)),
    ];
    return [{ name: seedTerm, value: parts.reduce((a, c) => b.add(a, c)) }];
  },
};

/** Both at once: what is emitted, and the seeds. */
export function withSeeds(emission: LossEmission): LossEmission {
  return {
    ...emission,
    emit: (c) => [...emission.emit(c), ...seeded.emit(c)],
  };
}

export interface ArrayLoss {
  /** By the name of the term. */
  readonly losses: Record<string, number>;
  /** Feeds of the seeded step. */
  readonly seeds: Record<string, Tensor>;
}

/** One batch as the graph has it. */
export interface ArrayBatch {
  /** `logits` are rows [R, C]. */
  readonly student: TeacherOutputs;
  readonly teacher: TeacherOutputs;
  /** Those of the step, of which labels and row weights count here. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly progress: Progress;
}

/**
 * The losses of `parts` and the sum of their gradients for one batch. Rows of weight 0 are not shown to a strategy, and
 * have no gradient.
 */
export function arrayLoss(parts: readonly StrategyPart[], batch: ArrayBatch): ArrayLoss {
  const { student, teacher, feeds, progress } = batch;
  const labels = feeds[names.labels];
  const counted = countedRows(student.logits, feeds[names.rowWeights]);
  const s = pick(student.logits, counted);
  const t = pick(rowsOfTensor(teacher.logits), counted);
  const y = labels && pick(labelRows(labels, student.logits.dims), counted);
  const [ofStudent, ofTeacher] = [activations(student), activations(teacher)];
  const classes = sampleClasses(teacher.logits, feeds);
  const losses: Record<string, number> = {};
  const seeds: Record<string, Tensor> = { [names.seedLogits]: zeros(student.logits) };
  for (const [tap, value] of Object.entries(student.taps)) seeds[names.seedTap(tap)] = zeros(value);
  const log = (part: StrategyPart, term: string, value: number) => {
    const wanted = part.name === undefined ? term : `${part.name}/${term}`;
    let name = wanted;
    for (let n = 2; `loss/${name}` in losses; n++) name = `${wanted}-${n}`;
    losses[`loss/${name}`] = value;
  };
  for (const part of parts) {
    const { strategy } = part;
    const weight = part.weight * (part.factor?.(progress) ?? 1);
    if (!isGraphOnly(strategy)) strategy.setProgress?.(progress);
    if (part.part !== "intermediate" && hasOutputLoss(strategy)) {
      log(part, "output", s.rows === 0 ? 0 : weight * strategy.computeLoss(s, t, y));
      const gradient = s.rows === 0 ? s : strategy.computeGradient(s, t, y);
      addRows(
        seeds[names.seedLogits] as Tensor,
        counted,
        weight,
        gradient,
        `${nameOf(strategy)}.computeGradient`,
      );
    }
    if (part.part !== "output" && hasIntermediateLoss(strategy)) {
      log(part, "intermediate", weight * strategy.computeIntermediateLoss(ofStudent, ofTeacher, classes));
      const gradients = strategy.computeIntermediateGradient(ofStudent, ofTeacher, classes);
      for (const name of gradients.names())
        addSeed(
          seedOf(seeds, name, student, strategy),
          weight,
          gradients.get(name) as Matrix,
          `${nameOf(strategy)}.computeIntermediateGradient("${name}")`,
        );
    }
  }
  return { losses, seeds };
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

/** Adds weight · gradient of the rows that count to the seed of all rows. */
function addRows(
  seed: Tensor,
  counted: readonly number[] | undefined,
  weight: number,
  gradient: Matrix,
  what: string,
): void {
  if (!counted) {
    addSeed(seed, weight, gradient, what);
    return;
  }
  const columns = seed.dims[1] as number;
  const own = zeros({ ...seed, dims: [counted.length, columns] });
  addSeed(own, weight, gradient, what);
  const out = seed.data as Float32Array;
  counted.forEach((row, i) => {
    for (let c = 0; c < columns; c++)
      out[row * columns + c]! += (own.data as Float32Array)[i * columns + c] as number;
  });
}

/** Losses of one step: what the graph computed, without the seeds' term, and what was computed on arrays. */
export function allLosses(
  emitted: Record<string, number>,
  arrays: ArrayLoss | undefined,
): Record<string, number> {
  if (!arrays) return emitted;
  const { loss: _, [`loss/${seedTerm}`]: __, ...terms } = emitted;
  const all: Record<string, number> = { ...terms };
  for (const [name, value] of Object.entries(arrays.losses)) {
    let own = name;
    for (let n = 2; own in all; n++) own = `${name}-${n}`;
    all[own] = value;
  }
  return { loss: Object.values(all).reduce((a, c) => a + c, 0), ...all };
}

const nameOf = (strategy: AnyStrategy): string => strategy.constructor.name;

function seedOf(
  seeds: Record<string, Tensor>,
  layer: string,
  { taps }: TeacherOutputs,
  strategy: AnyStrategy,
): Tensor {
  const known = Object.keys(taps);
  const tap = layer === anyLayer && known.length === 1 ? (known[0] as string) : layer;
  const found = seeds[names.seedTap(tap)];
  if (found) return found;
  throw new DistillError(
    "E_NAME",
    `${nameOf(strategy)}: a gradient for the layer "${layer}", which is no tap.${didYouMean(layer, known)} Taps: ${known.join(", ") || "none"}.`,
  );
}

function zeros(t: Tensor): Tensor {
  return { dtype: "float32", dims: t.dims, data: new Float32Array(sizeOf(t.dims)) };
}

/** Under the taps' names; a single tap also as "default", which is what a strategy asks for when nobody named its layer. */
function activations(outputs: TeacherOutputs): IntermediateActivations {
  const all = new IntermediateActivations();
  const taps = Object.entries(outputs.taps);
  for (const [name, t] of taps) all.add(name, t);
  const [only] = taps;
  if (only && taps.length === 1 && only[0] !== anyLayer) all.add(anyLayer, all.get(only[0]) as Matrix);
  return all;
}

/** Adds weight · gradient [samples, neurons] to a seed, which lies as the value does. */
function addSeed(seed: Tensor, weight: number, gradient: Matrix, what: string): void {
  const neurons = seed.dims[neuronAxis(seed.dims.length)] as number;
  if (gradient.columns !== neurons || gradient.rows * gradient.columns !== sizeOf(seed.dims))
    throw new DistillError(
      "E_SHAPE",
      `${what} is [${gradient.rows},${gradient.columns}] for a value of shape [${seed.dims}]; return a matrix like the student's`,
    );
  const bad = gradient.data.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0)
    throw new DistillError(
      "E_NOT_FINITE",
      `${what} is ${gradient.data[bad]} at row ${Math.floor(bad / neurons)}, column ${bad % neurons}; a step with it would spoil the weights: look at the formula there`,
    );
  const laid =
    seed.dims.length < 4 ? gradient.data : moveNeurons(Float32Array.from(gradient.data), seed.dims, "second");
  const out = seed.data as Float32Array;
  for (let i = 0; i < out.length; i++) out[i]! += weight * laid[i]!;
}
