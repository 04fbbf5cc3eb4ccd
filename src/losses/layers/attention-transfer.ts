// Attention transfer in the graph. The emitted twin of AttentionTransferStrategy (Zagoruyko & Komodakis 2017).
import { DistillError } from "../../base/errors.ts";
import { neuronAxis } from "../../base/layout.ts";
import { formatShape } from "../../base/tensor.ts";
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { DEAD_ATTENTION } from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import { layoutOf, samePositions, toLength } from "./groups.ts";

export function attentionTransfer(b: Builder, tap: TapPair): Value {
  samePositions(`tap "${tap.name}"`, b, tap.student, tap.teacher);
  const { samples, positions } = layoutOf(b.dims(tap.student));
  if (positions < 2)
    throw new DistillError(
      "E_SHAPE",
      `tap "${tap.name}" is ${formatShape(b.dims(tap.student))}, one position a sample: attention needs at least 2; tap a map or a sequence`,
    );
  const attention = (x: Value): Value => {
    const dims = b.dims(x);
    // The sum in place of the mean over neurons: what is divided by its length needs no other factor.
    const energy = b.reshape(b.reduceSumSquare(x, [neuronAxis(dims.length)]), [samples, positions]);
    return toLength(b, energy, 1, DEAD_ATTENTION * layoutOf(dims).neurons);
  };
  const difference = b.sub(attention(tap.student), attention(tap.teacher));
  return b.scale(b.reduceSumSquare(difference), 1 / (samples * positions));
}
