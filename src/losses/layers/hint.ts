// Hints in the graph: mean squared difference. The emitted twin of HintStrategy (Romero et al. 2015).
import { sizeOf } from "../../base/tensor.ts";
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import type { TapPair } from "../terms.ts";

export function hint(b: Builder, { student, teacher }: TapPair): Value {
  return b.scale(b.reduceSumSquare(b.sub(student, teacher)), 1 / sizeOf(b.dims(student)));
}
