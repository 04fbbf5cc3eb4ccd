// Similarity preserving distillation in the graph. The emitted twin of SimilarityPreservingStrategy (Tung & Mori 2019).
import { DistillError } from "../../base/errors.ts";
import { formatShape, sizeOf } from "../../base/tensor.ts";
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { DEAD_SIMILARITY } from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import { gram, toLength } from "./groups.ts";

export function similarityPreserving(b: Builder, tap: TapPair): Value {
  const samples = b.dims(tap.student)[0] as number;
  if (samples < 2)
    throw new DistillError(
      "E_SHAPE",
      `tap "${tap.name}" is ${formatShape(b.dims(tap.student))}, one sample: similarities of samples need at least 2; use a larger batch`,
    );
  const similarities = (x: Value): Value => {
    const rows = b.reshape(x, [samples, sizeOf(b.dims(x)) / samples]);
    return toLength(b, gram(b, rows, false, false), 1, DEAD_SIMILARITY);
  };
  const difference = b.sub(similarities(tap.student), similarities(tap.teacher));
  return b.scale(b.reduceSumSquare(difference), 1 / samples ** 2);
}
