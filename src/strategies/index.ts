// The public names of the strategies room: losses and gradients on arrays, without ONNX Runtime or protobuf.
export { DistillError, type ErrorCode } from "../base/errors.ts";
export { AttentionTransferStrategy, DEAD_ATTENTION } from "./attention-transfer.ts";
export { type ChannelStatisticsOptions, ChannelStatisticsStrategy } from "./channel-statistics.ts";
export { CombinedDistillationStrategy, type StrategyPart, type WeightedStrategy } from "./combined.ts";
export { DEAD_NORM, type LayerOver } from "./groups.ts";
export { HintStrategy } from "./hint.ts";
export { IntermediateActivations } from "./intermediate-activations.ts";
export { CenteredKernelAlignmentStrategy, type KernelAlignmentOptions } from "./kernel-alignment.ts";
export {
  type LayerComparison,
  type LayerPair,
  LayerStrategyBase,
  type LayerStrategyOptions,
} from "./layer-strategy.ts";
export { type FloatArray, Matrix, type MatrixLike } from "./matrix.ts";
export { DEAD_NEURON_MEAN } from "./metrics/peak-to-average.ts";
export { ACTIVITY_THRESHOLD, SURROGATE_STEEPNESS } from "./metrics/sparsity.ts";
export { MultiLabelDistillationStrategy } from "./multi-label-strategy.ts";
export {
  CONSTANT_RATIO,
  type NeuronCorrelationOptions,
  NeuronCorrelationStrategy,
} from "./neuron-correlation.ts";
export {
  NeuronSelectivityDistillationStrategy,
  type NeuronSelectivityOptions,
} from "./neuron-selectivity.ts";
export {
  LEAST_BANDWIDTH_SQUARED,
  type NeuronSelectivityTransferOptions,
  NeuronSelectivityTransferStrategy,
  type TransferKernel,
} from "./neuron-selectivity-transfer.ts";
export { RegressionDistillationStrategy, type RegressionOptions } from "./regression-strategy.ts";
export { ResponseDistillationStrategy } from "./response-strategy.ts";
export {
  peakToAverageScores,
  SelectivityMetric,
  selectivityScores,
  sparsityScores,
  varianceScores,
} from "./selectivity-metric.ts";
export { DEAD_SIMILARITY, SimilarityPreservingStrategy } from "./similarity-preserving.ts";
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
