// The public names of the strategies room: losses and gradients on arrays, without ONNX Runtime or protobuf.
export { DistillError, type ErrorCode } from "../base/errors.ts";
export { ResponseCorrelation } from "./assignment.ts";
export { checkGradients, type GradientCheck, type GradientCheckInputs } from "./check-gradients.ts";
export type { InfiniteLogits } from "./checks.ts";
export { CombinedDistillationStrategy, type StrategyPart, type WeightedStrategy } from "./combined.ts";
export { IntermediateActivations } from "./intermediate-activations.ts";
export { AttentionTransferStrategy, DEAD_ATTENTION } from "./layers/attention-transfer.ts";
export { type ChannelStatisticsOptions, ChannelStatisticsStrategy } from "./layers/channel-statistics.ts";
export { DEAD_NORM } from "./layers/groups.ts";
export { HintStrategy } from "./layers/hint.ts";
export { CenteredKernelAlignmentStrategy, type KernelAlignmentOptions } from "./layers/kernel-alignment.ts";
export {
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layers/layer-strategy.ts";
export {
  CONSTANT_RATIO,
  type CorrelationMatch,
  type NeuronCorrelationOptions,
  NeuronCorrelationStrategy,
} from "./layers/neuron-correlation.ts";
export {
  LEAST_BANDWIDTH_SQUARED,
  type NeuronSelectivityTransferOptions,
  NeuronSelectivityTransferStrategy,
  type TransferKernel,
} from "./layers/neuron-selectivity-transfer.ts";
export { DEAD_SIMILARITY, SimilarityPreservingStrategy } from "./layers/similarity-preserving.ts";
export { type FloatArray, Matrix, type MatrixLike } from "./matrix.ts";
export { RESPONSE_FLOOR } from "./metrics/metric.ts";
export { DEAD_NEURON_MEAN } from "./metrics/peak-to-average.ts";
export { RELATIVE_STEEPNESS, RELATIVE_THRESHOLD } from "./metrics/relative-sparsity.ts";
export { ACTIVITY_THRESHOLD, SURROGATE_STEEPNESS } from "./metrics/sparsity.ts";
export { MultiLabelDistillationStrategy } from "./multi-label-strategy.ts";
export { NeuronSelectivityDistillationStrategy } from "./neuron-selectivity.ts";
export { RegressionDistillationStrategy, type RegressionOptions } from "./regression-strategy.ts";
export { ResponseDistillationStrategy, type ResponseOptions } from "./response-strategy.ts";
export { CorrelationDistillationStrategy, type CorrelationOptions } from "./responses/correlation.ts";
export { DecoupledDistillationStrategy, type DecoupledOptions } from "./responses/decoupled.ts";
export { Divergence } from "./responses/divergence.ts";
export {
  TransformedTeacherDistillationStrategy,
  type TransformedTeacherOptions,
} from "./responses/transformed-teacher.ts";
export { SelectivityAccumulator, type SelectivityAccumulatorOptions } from "./selectivity-accumulator.ts";
export {
  peakToAverageScores,
  SelectivityMetric,
  type SelectivityScoreOptions,
  selectivityScores,
  sparsityScores,
  varianceScores,
} from "./selectivity-metric.ts";
export type { NeuronSelectivityOptions } from "./selectivity-options.ts";
export type {
  SelectivityDistance,
  SelectivityMatch,
  SelectivityOver,
  SelectivityTarget,
} from "./selectivity-words.ts";
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
