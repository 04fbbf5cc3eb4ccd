// Layer functions that build an ordinary ONNX model: a student needs no Python.

export type { Initialization } from "../base/initialization.ts";
export * from "./activations.ts";
export {
  type SelfAttentionOptions,
  selfAttention,
  type TransformerBlockOptions,
  transformerBlock,
} from "./attention.ts";
export { type BuildModelOptions, buildModel } from "./build-model.ts";
export { block, type ResidualOptions, residual, sequential } from "./containers.ts";
export { type ConvOptions, conv, type DepthwiseConvOptions, depthwiseConv } from "./convolution.ts";
export { demoStudent, demoTeacher } from "./demo-models.ts";
export type { Dim, Draft, Flow, Layer, LayerOptions } from "./layer.ts";
export { flatten, type LinearOptions, linear } from "./linear.ts";
export {
  averagePool,
  type GlobalPoolOptions,
  globalAveragePool,
  globalMaxPool,
  maxPool,
  type PoolOptions,
} from "./pooling.ts";
export { type BatchNormOptions, batchNorm, dropout } from "./regularization.ts";
export { type ResNetOptions, resnet } from "./resnet.ts";
export {
  embedding,
  type LayerNormOptions,
  layerNorm,
  meanPool,
  positionEmbedding,
  tokens,
} from "./sequence.ts";
export {
  type TextTransformerOptions,
  type TransformerOptions,
  textTransformer,
  type VisionTransformerOptions,
  visionTransformer,
} from "./transformers.ts";
export type { Padding } from "./window.ts";
