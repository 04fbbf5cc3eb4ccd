// A weighted sum of strategies, on outputs and on any number of layers. Adds what its strategies compute; has no loss of
// its own.
import { checkKeys, DistillError } from "../base/errors.ts";
import { checkOneOf, checkWeight } from "./checks.ts";
import { IntermediateActivations } from "./intermediate-activations.ts";
import { asMatrix, type Matrix, type MatrixLike, zerosLike } from "./matrix.ts";
import {
  type AnyStrategy,
  type DistillationStrategy,
  hasIntermediateLoss,
  hasOutputLoss,
  type IntermediateActivationStrategy,
  isGraphOnly,
  type OutputKind,
  usesLabels,
} from "./strategy.ts";
import { AT_START, type Progress, type WeightSchedule, weightSchedule } from "./weight-schedule.ts";

export type PartName = "all" | "output" | "intermediate";
const partNames: readonly PartName[] = ["all", "output", "intermediate"];

/** One summand of a {@link CombinedDistillationStrategy}. */
export interface WeightedStrategy {
  readonly strategy: AnyStrategy;
  /** What its loss is multiplied with, beside the weights that it has itself; finite, 0 or more; default 1. */
  readonly weight?: number;
  /** How the weight moves over a run; default: it does not. */
  readonly schedule?: WeightSchedule;
  /** Which of its losses count: that on outputs, that on layers, or both; default "all". */
  readonly part?: PartName;
  /** Put before the names of its terms in the log: `loss/<name>/soft`; default: nothing. */
  readonly name?: string;
}

/** One strategy of a sum, nested sums taken apart. */
export interface StrategyPart {
  readonly strategy: AnyStrategy;
  readonly part: PartName;
  readonly name: string | undefined;
  readonly weight: number;
  /** Factor to the weight over a run; undefined: always 1. */
  readonly factor: ((progress: Progress) => number) | undefined;
  /** What `factor` was made from, outermost sum first. */
  readonly schedule: readonly WeightSchedule[];
}

/**
 * Σ wᵢ(t)·Lᵢ over strategies Lᵢ, each on outputs, on the activations of layers, or both: the loss, its gradients, and
 * in training each term in the log under its own name (`loss/soft`, `loss/selectivity/<tap>`, …).
 *
 * The weights may move over a run, see {@link WeightSchedule}: in training they are inputs of the step, so nothing is
 * compiled again; on arrays they follow {@link setProgress} and stand at the first step until it is called.
 *
 * `temperature` and `alpha` are those of its strategies on outputs: reading gives the first one's (1 and 0 where there is
 * none), setting sets all.
 *
 * A strategy that exists on arrays only trains inside a sum too; its part alone goes the slower way.
 *
 * @example
 * ```ts
 * import { CombinedDistillationStrategy, Matrix, NeuronSelectivityDistillationStrategy, ResponseDistillationStrategy } from "onnx-distill";
 *
 * const strategy = new CombinedDistillationStrategy([
 *   { strategy: new ResponseDistillationStrategy({ temperature: 1 }), weight: 2 },
 *   {
 *     strategy: new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer3" }),
 *     part: "intermediate",
 *     schedule: { warmup: 2, decay: "cosine", end: 8 }, // epochs
 *   },
 * ]);
 * const [s, t] = [Matrix.fromRows([[0, 0]]), Matrix.fromRows([[0, Math.log(3)]])];
 * const alone = new ResponseDistillationStrategy({ temperature: 1 }).computeLoss(s, t);
 * strategy.computeLoss(s, t) / alone; // => 2
 * ```
 */
export class CombinedDistillationStrategy implements DistillationStrategy, IntermediateActivationStrategy {
  /** Its strategies with nested sums taken apart: their weights multiplied, their names joined with "/". */
  readonly parts: readonly StrategyPart[];
  #progress = AT_START;

  /**
   * Errors: `E_OPTION` for no strategy, an unknown key, or a part that a strategy does not have; `E_ARGUMENT` for a
   * value out of range.
   */
  constructor(strategies: readonly WeightedStrategy[]) {
    const owner = new.target.name;
    if (!Array.isArray(strategies) || strategies.length === 0)
      throw new DistillError(
        "E_OPTION",
        `${owner}: at least one strategy is needed: [{ strategy, weight }, …]`,
      );
    this.parts = strategies.flatMap((s: WeightedStrategy, i) => partsOf(`${owner}: strategy ${i}`, s));
    const other = this.#onOutputs().find((s) => s.outputs !== undefined && s.outputs !== this.outputs);
    if (other)
      throw new DistillError(
        "E_OPTION",
        `${owner}: ${other.constructor.name} is for ${other.outputs} outputs, another strategy of the sum for ${this.outputs}; one model has one kind`,
      );
  }

  /** Whether any of its strategies wants labels. */
  get usesLabels(): boolean {
    return this.parts.some((p) => usesLabels(p.strategy, p.part));
  }

  /** For which outputs its strategies are made; undefined where any will do. */
  get outputs(): OutputKind | undefined {
    return this.#onOutputs().find((s) => s.outputs !== undefined)?.outputs;
  }

  get temperature(): number {
    return this.#onOutputs()[0]?.temperature ?? 1;
  }
  set temperature(value: number) {
    for (const s of this.#onOutputs()) s.temperature = value;
  }

  get alpha(): number {
    return this.#onOutputs()[0]?.alpha ?? 0;
  }
  set alpha(value: number) {
    for (const s of this.#onOutputs()) s.alpha = value;
  }

  /** Says how far the run is; the weights of what follows are those of that step. */
  setProgress(progress: Progress): void {
    this.#progress = progress;
    for (const { strategy } of this.parts) if (!isGraphOnly(strategy)) strategy.setProgress?.(progress);
  }

  /** Σ wᵢ·computeLoss of the strategies on outputs; 0 where there is none. Errors as theirs. */
  computeLoss(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): number {
    let sum = 0;
    for (const [strategy, weight] of this.#counting("output"))
      if (hasOutputLoss(strategy)) sum += weight * strategy.computeLoss(studentLogits, teacherLogits, labels);
    return sum;
  }

  /** Its derivative by the student's logits, in their shape and element type. Errors as {@link computeLoss}. */
  computeGradient(studentLogits: MatrixLike, teacherLogits: MatrixLike, labels?: MatrixLike): Matrix {
    const student = asMatrix("studentLogits", studentLogits);
    const sum = new Float64Array(student.data.length);
    for (const [strategy, weight] of this.#counting("output"))
      if (hasOutputLoss(strategy))
        addScaled(sum, weight, strategy.computeGradient(studentLogits, teacherLogits, labels));
    return asTypeOf(student, sum);
  }

  /** Σ wᵢ·computeIntermediateLoss of the strategies on layers; 0 where there is none. Errors as theirs. */
  computeIntermediateLoss(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): number {
    let sum = 0;
    for (const [strategy, weight] of this.#counting("intermediate"))
      if (hasIntermediateLoss(strategy))
        sum += weight * strategy.computeIntermediateLoss(student, teacher, labels);
    return sum;
  }

  /** Its derivative layer by layer; strategies on the same layer add up. A layer that none looks at is absent. */
  computeIntermediateGradient(
    student: IntermediateActivations,
    teacher: IntermediateActivations,
    labels?: MatrixLike,
  ): IntermediateActivations {
    const sums = new Map<string, Float64Array>();
    for (const [strategy, weight] of this.#counting("intermediate")) {
      if (!hasIntermediateLoss(strategy)) continue;
      const gradients = strategy.computeIntermediateGradient(student, teacher, labels);
      for (const name of gradients.names()) {
        const gradient = gradients.get(name) as Matrix;
        const sum = sums.get(name) ?? new Float64Array(gradient.data.length);
        addScaled(sum, weight, gradient);
        sums.set(name, sum);
      }
    }
    const all = new IntermediateActivations();
    for (const [name, sum] of sums) all.add(name, asTypeOf(student.get(name) as Matrix, sum));
    return all;
  }

  /** The strategies with a loss of that kind and a weight above 0 at this point of the run. */
  #counting(kind: "output" | "intermediate"): (readonly [AnyStrategy, number])[] {
    return this.parts.flatMap(({ strategy, part, weight, factor }) => {
      if (part !== "all" && part !== kind) return [];
      if (isGraphOnly(strategy))
        throw new DistillError(
          "E_OPTION",
          `CombinedDistillationStrategy: "${strategy.name}" exists in the training step only, so the sum has no value on arrays; use evaluateStrategy()`,
        );
      const now = weight * (factor?.(this.#progress) ?? 1);
      return now > 0 ? [[strategy, now] as const] : [];
    });
  }

  #onOutputs(): DistillationStrategy[] {
    return this.parts.flatMap(({ strategy, part }) =>
      part !== "intermediate" && hasOutputLoss(strategy) ? [strategy] : [],
    );
  }
}

/** The parts of a sum; any other strategy is its own only part. */
export function strategyParts(strategy: AnyStrategy): readonly StrategyPart[] {
  // A subclass may compute something else than the sum of its parts.
  return strategy.constructor === CombinedDistillationStrategy
    ? (strategy as CombinedDistillationStrategy).parts
    : [{ strategy, part: "all", name: undefined, weight: 1, factor: undefined, schedule: [] }];
}

function partsOf(what: string, given: WeightedStrategy): StrategyPart[] {
  checkKeys(what, given, ["strategy", "weight", "schedule", "part", "name"]);
  const { strategy, weight = 1, schedule, part = "all", name } = given;
  checkWeight(what, "weight", weight);
  checkOneOf(what, "part", part, partNames);
  if (name !== undefined && (typeof name !== "string" || name.trim() === ""))
    throw new DistillError(
      "E_ARGUMENT",
      `${what}: name must not be blank, got ${JSON.stringify(name)}; leave it out for the strategy's own names`,
    );
  checkPart(what, strategy, part);
  const factor = schedule && weightSchedule(what, schedule);
  const schedules = schedule ? [schedule] : [];
  if (strategy.constructor !== CombinedDistillationStrategy)
    return [{ strategy, part, name, weight, factor, schedule: schedules }];
  return strategyParts(strategy).flatMap((inner) => {
    const both = part === "all" ? inner.part : inner.part === "all" ? part : inner.part;
    const gone = (part !== "all" && both !== part) || !hasPart(inner.strategy, both);
    if (gone) return [];
    return [
      {
        strategy: inner.strategy,
        part: both,
        name: [name, inner.name].filter((n) => n !== undefined).join("/") || undefined,
        weight: weight * inner.weight,
        factor: product(factor, inner.factor),
        schedule: [...schedules, ...inner.schedule],
      },
    ];
  });
}

function hasPart(strategy: AnyStrategy, part: PartName): boolean {
  if (isGraphOnly(strategy)) return part === "all";
  if (part === "output") return hasOutputLoss(strategy);
  if (part === "intermediate") return hasIntermediateLoss(strategy);
  return hasOutputLoss(strategy) || hasIntermediateLoss(strategy);
}

function checkPart(what: string, strategy: unknown, part: PartName): asserts strategy is AnyStrategy {
  if (typeof strategy !== "object" || strategy === null || !hasPart(strategy as AnyStrategy, "all"))
    throw new DistillError(
      "E_OPTION",
      `${what}: not a strategy; give an object with computeLoss and computeGradient, or their intermediate pair`,
    );
  if (hasPart(strategy as AnyStrategy, part)) return;
  const name = isGraphOnly(strategy as AnyStrategy)
    ? `"${(strategy as { name: string }).name}"`
    : strategy.constructor.name;
  throw new DistillError(
    "E_OPTION",
    `${what}: ${name} has no loss on ${part === "output" ? "outputs" : "layers"} of its own; leave \`part\` out`,
  );
}

function product(
  a: StrategyPart["factor"],
  c: StrategyPart["factor"],
): ((progress: Progress) => number) | undefined {
  return a && c ? (progress) => a(progress) * c(progress) : (a ?? c);
}

function addScaled(sum: Float64Array, weight: number, m: Matrix): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += weight * m.data[i]!;
}

/** The values in the element type of `m`, and its shape. */
function asTypeOf(m: Matrix, values: Float64Array): Matrix {
  const out = zerosLike(m);
  out.data.set(values);
  return out;
}
