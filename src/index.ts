// Public names of onnx-distill in Node; no logic.

export type { AnalysisTap, NeuronChoice } from "./analysis/analysis-taps.ts";
export type { ProfileComparison } from "./analysis/compare-profiles.ts";
export {
  type AnalyzedSide,
  type AnalyzedTap,
  type AnalyzeOptions,
  analyzeSelectivity,
  type ChosenNeuron,
  type SelectivityAnalysis,
} from "./analysis/selectivity.ts";
export type { NeuronProfile } from "./analysis/tap-profile.ts";
export type { Excitation } from "./analysis/top-samples.ts";
export type { DType, Shape, Tensor, TensorType } from "./base/tensor.ts";
export { tensor } from "./base/tensor.ts";
export type { RoleKind, RoleRow } from "./compile/role-table.ts";
export { arrayDataset, split, subset } from "./data/array-dataset.ts";
export type { AugmentOptions } from "./data/augment.ts";
export type { Dataset, DatasetInput, Labels, SampleBatch } from "./data/dataset.ts";
export { idxDataset } from "./data/idx-dataset.ts";
export { imageDataset } from "./data/image-dataset.ts";
export { type NextTokenOptions, nextTokens } from "./data/next-tokens.ts";
export { npzDataset } from "./data/npz-dataset.ts";
export { type OpenDatasetOptions, openDataset } from "./data/open-dataset.ts";
export type { GraphMath, GraphValue } from "./losses/graph-math.ts";
export {
  defineGraphStrategy,
  type GraphLossInputs,
  type GraphStrategy,
  type GraphStrategyOptions,
  type GraphTap,
} from "./losses/graph-strategy.ts";
export type { ProjectionOptions } from "./losses/projection-options.ts";
export { type BuildModelOptions, buildModel } from "./nn/build-model.ts";
export * as nn from "./nn/index.ts";
export { modelBytes, withOutputs, withWeights } from "./onnx/export-model.ts";
export type { Model } from "./onnx/model.ts";
export { readModel } from "./onnx/read-model.ts";
export { readModelFile } from "./onnx/read-model-file.ts";
export { type TargetName, targets } from "./ops/target.ts";
export { type AdamWOptions, adamW } from "./optim/adamw.ts";
export type { OptimizerConfig } from "./optim/index.ts";
export { learningRateSchedule, type ScheduleName, type ScheduleOptions } from "./optim/schedules.ts";
export { type SgdOptions, sgd } from "./optim/sgd.ts";
export { createNodeRuntime, nodeRuntime } from "./runtime/ort-node.ts";
export type { Runtime, Session, SessionOptions, Tensors } from "./runtime/session.ts";
export * from "./strategies/index.ts";
export {
  type MetricKey,
  type Task,
  type TaskName,
  type TaskOptions,
  taskNamed,
  taskNames,
} from "./tasks/index.ts";
export { distill } from "./train/distill.ts";
export { type Evaluation, evaluate, type Metrics } from "./train/evaluate.ts";
export {
  type EvaluateStrategyOptions,
  evaluateStrategy,
  type StrategyInputs,
  type StrategyValue,
} from "./train/evaluate-strategy.ts";
export type { DistillEvent } from "./train/events.ts";
export type { DistillOptions, Tap } from "./train/options.ts";
export type { ParameterGroupOptions } from "./train/parameter-groups.ts";
export { SharedTeacherOutputs, type SharedTeacherOutputsOptions } from "./train/shared-teacher-outputs.ts";
export type { TeacherFunction, TeacherOutputs } from "./train/teacher.ts";
