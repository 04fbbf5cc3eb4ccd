// The public names of the strategies room: losses and gradients on arrays, without ONNX Runtime or protobuf.
export { DistillError, type ErrorCode } from "../base/errors.ts";
export {
  CombinedDistillationStrategy,
  type StrategyPart,
  type WeightedStrategy,
} from "./combined.ts";
export { IntermediateActivations } from "./intermediate-activations.ts";
export { type FloatArray, Matrix, type MatrixLike } from "./matrix.ts";
export { DEAD_NEURON_MEAN } from "./metrics/peak-to-average.ts";
export { ACTIVITY_THRESHOLD, SURROGATE_STEEPNESS } from "./metrics/sparsity.ts";
export { MultiLabelDistillationStrategy } from "./multi-label-strategy.ts";
export {
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
} from "./neuron-selectivity.ts";
export { RegressionDistillationStrategy, type RegressionOptions } from "./regression-strategy.ts";
export { ResponseDistillationStrategy } from "./response-strategy.ts";
export {
  peakToAverageScores,
  SelectivityMetric,
  selectivityScores,
  sparsityScores,
  varianceScores,
} from "./selectivity-metric.ts";
export type {
  AnyStrategy,
  DistillationStrategy,
  GraphOnlyStrategy,
  IntermediateActivationStrategy,
  OutputKind,
} from "./strategy.ts";
export {
  type CheckedLogits,
  DistillationStrategyBase,
  type DistillationStrategyOptions,
} from "./strategy-base.ts";
export type { DecayName, Progress, WeightSchedule } from "./weight-schedule.ts";
