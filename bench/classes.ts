// The public class alone: loss and gradient of the selectivity of one layer, as a user on arrays calls it.
// bench/peers/classes.py has the same in PyTorch's autograd.
import {
  IntermediateActivations,
  Matrix,
  NeuronSelectivityDistillationStrategy,
} from "../src/strategies/index.ts";

export const classSizes = ["256x1024", "4096x4096"] as const;
export const classTypes = ["float32", "float64"] as const;

/** One call of loss and gradient on `<rows>x<neurons>/<element type>`. */
export function classCall(
  size: (typeof classSizes)[number],
  type: (typeof classTypes)[number],
): () => number {
  const [rows, neurons] = size.split("x").map(Number) as [number, number];
  const fill = (phase: number): Float32Array | Float64Array => {
    const data = type === "float32" ? new Float32Array(rows * neurons) : new Float64Array(rows * neurons);
    for (let i = 0; i < data.length; i++) data[i] = Math.max(0, Math.sin(0.37 * i + phase) + 0.2);
    return data;
  };
  const strategy = new NeuronSelectivityDistillationStrategy({ targetLayerName: "layer" });
  const student = new IntermediateActivations().add("layer", new Matrix(rows, neurons, fill(0)));
  const teacher = new IntermediateActivations().add("layer", new Matrix(rows, neurons, fill(1)));
  return () => {
    const loss = strategy.computeIntermediateLoss(student, teacher);
    const gradient = strategy.computeIntermediateGradient(student, teacher).get("layer")!;
    return loss + gradient.data[0]!;
  };
}
