// Losses between layers as PyTorch computed them (test/fixtures/layers.py), and our strategies by the names used there.
import { readFileSync } from "node:fs";
import {
  AttentionTransferStrategy,
  CenteredKernelAlignmentStrategy,
  ChannelStatisticsStrategy,
  HintStrategy,
  type LayerStrategyBase,
  NeuronCorrelationStrategy,
  NeuronSelectivityTransferStrategy,
  SimilarityPreservingStrategy,
} from "../../src/strategies/index.ts";

export const layerStrategies = {
  nst: NeuronSelectivityTransferStrategy,
  cka: CenteredKernelAlignmentStrategy,
  sp: SimilarityPreservingStrategy,
  at: AttentionTransferStrategy,
  hint: HintStrategy,
  correlation: NeuronCorrelationStrategy,
  statistics: ChannelStatisticsStrategy,
};

export type LayerLoss = keyof typeof layerStrategies;

interface Stored {
  readonly dims: number[];
  readonly data: number[];
}

export interface LayerCase {
  readonly name: string;
  readonly loss: LayerLoss;
  readonly options: Record<string, unknown>;
  readonly student: Stored;
  readonly teacher: Stored;
  readonly value: number;
  /** In the layout of the student's tensor. */
  readonly gradient: number[];
}

export const layerCases: readonly LayerCase[] = JSON.parse(
  readFileSync(new URL("../fixtures/layers.json", import.meta.url), "utf8"),
);

/** Errors in float32 grow with what cancels; these two cases subtract numbers that are 100 and 10,000 times larger. */
export const float32Tolerance = ({ name }: LayerCase): number => (name.includes("offsets") ? 2e-3 : 2e-5);

export function layerStrategy(loss: LayerLoss, options: Record<string, unknown> = {}): LayerStrategyBase {
  return new layerStrategies[loss](options as never);
}
