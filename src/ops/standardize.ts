// What normalisations share: x brought to mean 0 and variance 1, or to root mean square 1, with the gradient in closed form.
// All variances are population variances.
import type { Value } from "../graph/graph.ts";
import type { Builder } from "./builder.ts";
import { axisOf } from "./infer.ts";

/**
 * z = (x − μ)/√(σ² + ε), the moments over `axes`;  dx = (dz − mean(dz) − z·mean(dz·z))/√(σ² + ε).
 */
export function standardize(b: Builder, x: Value, axes: readonly number[], epsilon: number): Value {
  const mean = (v: Value): Value => b.reduceMean(v, axes, true);
  const centred = b.sub(x, mean(x));
  const inverse = b.reciprocal(b.sqrt(b.shift(mean(b.square(centred)), epsilon)));
  const z = b.mul(centred, inverse);
  b.region({
    inputs: [x],
    outputs: [z],
    grad: (dz) => [() => b.mul(inverse, minusProjections(b, dz(0), z, axes))],
  });
  return z;
}

/** g − mean(g) − z·mean(g·z): what is left of g beside the directions that normalising takes out. */
export function minusProjections(b: Builder, g: Value, z: Value, axes: readonly number[]): Value {
  const along = b.mul(z, b.reduceMean(b.mul(g, z), axes, true));
  return b.sub(b.sub(g, b.reduceMean(g, axes, true)), along);
}

/** Axes from `axis` (default −1) to the last. */
export function trailingAxes(axis: number, rank: number, where: string): number[] {
  const first = axisOf(axis, rank, where);
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/** z = x/√(mean(x²) + ε), the mean over `axes`;  dx = (dz − z·mean(dz·z))/√(mean(x²) + ε). Also that inverse root. */
export function overRootMeanSquare(
  b: Builder,
  x: Value,
  axes: readonly number[],
  epsilon: number,
): { z: Value; inverse: Value } {
  const inverse = b.reciprocal(b.sqrt(b.shift(b.reduceMean(b.square(x), axes, true), epsilon)));
  const z = b.mul(x, inverse);
  b.region({
    inputs: [x],
    outputs: [z],
    grad: (dz) => [() => b.mul(inverse, b.sub(dz(0), b.mul(z, b.reduceMean(b.mul(dz(0), z), axes, true))))],
  });
  return { z, inverse };
}
