// A strategy whose loss a user writes once, with graph values; the gradient follows. Emits what it is told; runs nothing.
import { checkKeys, DistillError, didYouMean } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { GraphOnlyStrategy } from "../strategies/index.ts";
import type { GraphMath, GraphValue } from "./graph-math.ts";
import { type LossContext, type LossTerm, rowMean } from "./terms.ts";

export interface GraphTap {
  readonly name: string;
  /** `[N, C]`, `[N, T, C]` or `[N, C, H, W]`. */
  readonly student: GraphValue;
  readonly teacher: GraphValue;
}

/** What a loss is written with. R counts predictions: samples, or samples times positions. */
export interface GraphLossInputs {
  readonly b: GraphMath;
  /** `[R, C]` */
  readonly studentLogits: GraphValue;
  /** `[R, C]` */
  readonly teacherLogits: GraphValue;
  /** `[R, C]`: one-hot or soft rows; undefined without `usesLabels`, or where the data has none. */
  readonly labels: GraphValue | undefined;
  readonly taps: readonly GraphTap[];
  /** The tap of that name. Error: `E_NAME`, with the nearest names. */
  tap(name: string): GraphTap;
  /** A value per row `[R]` -> its mean over the rows that count, a scalar. Rows of padding and of ignored labels do not. */
  rowMean(perRow: GraphValue): GraphValue;
}

export interface GraphStrategyOptions {
  /** For run records and messages. */
  readonly name: string;
  /** Whether labels are fed, where the data has them; default false. */
  readonly usesLabels?: boolean;
  /**
   * Scalars by the name under which each is logged (`loss/<name>`); their sum is the loss. Called several times, once for
   * each graph: it must make the same every time.
   */
  readonly loss: (inputs: GraphLossInputs) => Readonly<Record<string, GraphValue>>;
}

/** Made by {@link defineGraphStrategy}. */
export class GraphStrategy implements GraphOnlyStrategy {
  readonly graphOnly = true;
  readonly name: string;
  readonly usesLabels: boolean;
  readonly loss: GraphStrategyOptions["loss"];

  constructor(options: GraphStrategyOptions) {
    checkKeys("defineGraphStrategy", options, ["name", "usesLabels", "loss"]);
    const { name, usesLabels = false, loss } = options;
    if (typeof name !== "string" || name.trim() === "")
      throw new DistillError(
        "E_ARGUMENT",
        "defineGraphStrategy: name must not be blank; say what the loss is",
      );
    if (typeof loss !== "function")
      throw new DistillError(
        "E_ARGUMENT",
        `defineGraphStrategy "${name}": loss must be a function from graph values to named scalars, got ${typeof loss}`,
      );
    [this.name, this.usesLabels, this.loss] = [name, usesLabels, loss];
  }
}

/**
 * A strategy from a loss written with graph values (see {@link GraphMath}): it goes into the training step as it is, and
 * its gradient is derived. For `distill({ strategy })`, for sums of strategies, and for `evaluateStrategy`, which gives
 * its value and gradient on data.
 *
 * Errors: `E_OPTION` for an unknown key, `E_ARGUMENT` for a blank name; when the step is compiled, `E_SHAPE` for a term that
 * is no scalar, `E_OPTION` for a loss without terms, and those of the operations.
 *
 * @example
 * ```ts
 * import { defineGraphStrategy, evaluateStrategy, tensor } from "onnx-distill";
 *
 * // KL on logits, and the squared distance of the taps' channel means.
 * const strategy = defineGraphStrategy({
 *   name: "kl and channel means",
 *   loss: ({ b, studentLogits, teacherLogits, taps, rowMean }) => {
 *     const [logP, logQ] = [b.logSoftmax(teacherLogits), b.logSoftmax(studentLogits)];
 *     const kl = b.reduceSum(b.mul(b.exp(logP), b.sub(logP, logQ)), [1]);
 *     const terms = { kl: rowMean(kl) };
 *     for (const { name, student, teacher } of taps) {
 *       const gap = b.sub(b.reduceMean(student, [2, 3]), b.reduceMean(teacher, [2, 3]));
 *       Object.assign(terms, { [`means/${name}`]: b.scale(b.reduceMean(b.square(gap)), 0.1) });
 *     }
 *     return terms;
 *   },
 * });
 * const value = await evaluateStrategy(strategy, {
 *   studentLogits: tensor("float32", [0, 0], [1, 2]),
 *   teacherLogits: tensor("float32", [Math.log(3), 0], [1, 2]),
 * });
 * value.loss.toFixed(4); // => "0.1308"
 * [...value.gradient.data].map((g) => g.toFixed(4)); // => ["-0.2500", "0.2500"]
 * ```
 */
export function defineGraphStrategy(options: GraphStrategyOptions): GraphStrategy {
  return new GraphStrategy(options);
}

/** The terms of a user's loss, each a scalar. */
export function graphLoss(c: LossContext, strategy: GraphStrategy): LossTerm[] {
  const { b } = c;
  const what = `the loss "${strategy.name}"`;
  if (!c.teacherLogits) throw new DistillError("E_OPTION", `${what} needs a teacher`);
  const made = b.scope(`loss/${strategy.name}`, () =>
    strategy.loss({
      b: b as GraphMath,
      studentLogits: c.studentLogits,
      teacherLogits: c.teacherLogits as Value,
      labels: strategy.usesLabels ? c.labels : undefined,
      taps: c.taps,
      tap: (name) => tapNamed(c, what, name),
      rowMean: (perRow) => rowMean(c, perRow as Value),
    }),
  );
  if (typeof made !== "object" || made === null || Object.keys(made).length === 0)
    throw new DistillError("E_OPTION", `${what} returned no terms; return named scalars: { name: value }`);
  return Object.entries(made).map(([name, value]) => {
    const known = value as Value | undefined;
    if (known?.type === undefined)
      throw new DistillError("E_ARGUMENT", `${what}: term "${name}" is no graph value; make it with b`);
    const { dims } = known.type;
    if (dims.length > 0)
      throw new DistillError(
        "E_SHAPE",
        `${what}: term "${name}" is ${formatShape(dims)}, expected a scalar; reduce it with b.reduceMean, or rowMean for a value per row`,
      );
    return { name, value: known };
  });
}

function tapNamed({ taps }: LossContext, what: string, name: string): GraphTap {
  const found = taps.find((t) => t.name === name);
  if (found) return found;
  const names = taps.map((t) => t.name);
  throw new DistillError(
    "E_NAME",
    `${what}: there is no tap "${name}".${didYouMean(name, names)} Taps: ${names.join(", ") || "none"}.`,
  );
}
