// What a training step is compiled from.
import type { Shape, Tensor, TensorType } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { LossEmission } from "../losses/index.ts";
import type { Projection } from "../losses/projection-options.ts";
import type { Model } from "../onnx/model.ts";
import type { Target } from "../ops/target.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { TapForm } from "../taps/tap-form.ts";
import type { OutputReading, Task } from "../tasks/index.ts";
import type { PaddingRows } from "./padding-rows.ts";
import type { GroupOptions } from "./parameter-groups.ts";

export interface CompileTap {
  readonly name: string;
  /** Name of a value of the student. */
  readonly student: string;
  /** What the teacher gives for it, in the form in which it is compared. */
  readonly teacher: TensorType;
  /** A learned map of the student's neurons to as many as the teacher's, which the loss sees in their place. */
  readonly project?: Projection | undefined;
  /** What is done to the student's value before it is compared; default: nothing. */
  readonly form?: TapForm | undefined;
}

export interface CompileOptions extends GroupOptions {
  readonly student: Model;
  /** First values of weights and statistics by name, instead of those in the student. */
  readonly values?: ReadonlyMap<string, Tensor> | undefined;
  /** Values of the student that follow from shapes and constants alone (see runtime/observe.ts). */
  readonly known: ReadonlyMap<Value, Tensor>;
  /** Name of the student's value that holds the logits; default: its first output. */
  readonly logits?: string | undefined;
  /** What the logits mean; default: classification. */
  readonly task?: Task | undefined;
  /** Samples a step, where they may lie along another axis than the first. */
  readonly batch?: number | undefined;
  /** How the logits are read; default: as logits, by their shape. */
  readonly reading?: OutputReading | undefined;
  /** Whether a teacher's logits are fed, with the samples in front. */
  readonly teacherLogits: boolean;
  /**
   * The types of what is fed under `names.labels` and `names.rowWeights` (see LabelFeeds), by the shape of the logits;
   * true: distributions, like the logits.
   */
  readonly labels: boolean | ((logits: Shape) => Readonly<Record<string, TensorType>>);
  /** A learned map of the student's outputs to rows of that width, which the loss compares with the teacher's. */
  readonly outputs?: { readonly width: number; readonly projection: Projection } | undefined;
  readonly taps: readonly CompileTap[];
  readonly loss: LossEmission;
  readonly optimizer: Optimizer;
  /** Global L2 norm that gradients are clipped to. */
  /** How much each class counts in the loss on labels, as `weight` of torch's cross_entropy; default: alike. */
  readonly classWeights?: readonly number[] | undefined;
  /** Decay of a moving average of weights and running statistics that is kept beside them, in (0, 1); default: none is. */
  readonly averageWeights?: number | undefined;
  /** Whether gradients are added up over batches before they are applied: `CompiledStep.accumulate` in place of `step`. */
  readonly accumulate?: boolean | undefined;
  readonly clipNorm?: number | undefined;
  readonly freeze: readonly string[];
  /** Constants that are trained whatever their role. */
  readonly train?: readonly string[] | undefined;
  /** Rows of embeddings' tables that are not learned by being looked up. */
  readonly paddingRows?: PaddingRows | undefined;
  /** Running statistics that the file keeps (see `inferenceForm`). */
  readonly keptStatistics?: readonly string[] | undefined;
  /** false: BatchNormalization keeps its running statistics and uses them. */
  readonly trainStatistics: boolean;
  readonly target: Target;
  /** Channels in a block of the runtime's blocked convolutions, where it has them and the target wants them. */
  readonly convolutionBlock?: number | undefined;
}
