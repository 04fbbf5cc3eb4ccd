// Neuron selectivity transfer in the graph, as matrix products: the pairs of neurons are never spread out over positions.
// The emitted twin of NeuronSelectivityTransferStrategy (Huang & Wang 2017).
//
// With the patterns as rows of unit length, X̂ [C, R] and Ŷ [D, R], the polynomial kernel's sums over pairs of neurons are
// ‖X̂X̂ᵀ‖², ‖ŶX̂ᵀ‖² and ‖ŶŶᵀ‖², and because ‖X̂X̂ᵀ‖ = ‖X̂ᵀX̂‖ the whole is ‖X̂ᵀX̂/C − ŶᵀŶ/D‖² as well: products of R × R,
// which are smaller where there are more neurons than positions, and lose no digits to a difference of large sums.
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import {
  DEAD_NORM,
  LEAST_BANDWIDTH_SQUARED,
  type NeuronSelectivityTransferStrategy,
} from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import {
  crossProducts,
  type Groups,
  groupsOf,
  neuronProducts,
  rowAxis,
  rowProducts,
  rowsAreFewer,
  samePositions,
  toLength,
} from "./groups.ts";

export function neuronSelectivityTransfer(
  b: Builder,
  tap: TapPair,
  { kernel, over, bandwidth }: NeuronSelectivityTransferStrategy,
): Value {
  if (over !== "samples") samePositions(`tap "${tap.name}"`, b, tap.student, tap.teacher);
  const own = groupsOf(b, `tap "${tap.name}": the student's value`, tap.student, over);
  const other = groupsOf(b, `tap "${tap.name}": the teacher's value`, tap.teacher, over);
  const sum =
    kernel === "gaussian"
      ? gaussian(b, unit(b, own), unit(b, other), bandwidth)
      : kernel === "linear"
        ? linear(b, unit(b, own), unit(b, other))
        : polynomial(b, own, other);
  return b.scale(sum, 1 / own.groups);
}

function unit(b: Builder, g: Groups, length = 1): Groups {
  return { ...g, x: toLength(b, g.x, rowAxis(g), DEAD_NORM, length) };
}

/** ‖mean x̂ − mean ŷ‖², summed over the groups. */
function linear(b: Builder, own: Groups, other: Groups): Value {
  const mean = (g: Groups) => b.reduceMean(g.x, [g.neuronsFirst ? 1 : 2]);
  return b.reduceSumSquare(b.sub(mean(own), mean(other)));
}

function polynomial(b: Builder, own: Groups, other: Groups): Value {
  // Of length 1/√C, so that no product needs to be divided by C.
  const x = unit(b, own, 1 / Math.sqrt(own.neurons));
  const y = unit(b, other, 1 / Math.sqrt(other.neurons));
  if (rowsAreFewer(own, other)) return b.reduceSumSquare(b.sub(rowProducts(b, x), rowProducts(b, y)));
  const cross = b.scale(b.reduceSumSquare(crossProducts(b, y, x)), -2);
  const apart = b.add(b.reduceSumSquare(neuronProducts(b, x)), b.reduceSumSquare(neuronProducts(b, y)));
  return b.add(apart, cross);
}

/** exp(−‖x̂ − ŷ‖²/2σ²) by ‖x̂‖² + ‖ŷ‖² − 2x̂ᵀŷ, the mean over pairs, summed over the groups. */
function gaussian(b: Builder, x: Groups, y: Groups, bandwidth: number | "mean"): Value {
  const cross = crossProducts(b, y, x);
  const [ofX, ofY] = [squares(b, x), squares(b, y)];
  // σ², [groups, 1, 1] or a number; a constant for the gradient.
  const mean = (v: Value) => b.reduceMean(v, [1, 2], true);
  const variance =
    bandwidth === "mean"
      ? b.stopGradient(
          b.max(
            b.sub(b.add(mean(ofX), mean(ofY)), b.scale(mean(cross), 2)),
            b.like(cross, LEAST_BANDWIDTH_SQUARED),
          ),
        )
      : b.like(cross, bandwidth ** 2);
  const meanKernel = (products: Value, ofRows: Value, ofColumns: Value, pairs: number): Value => {
    const halves = b.scale(b.add(ofRows, b.swapLast(ofColumns)), 0.5);
    const kernel = b.exp(b.div(b.sub(products, halves), variance));
    return b.scale(b.reduceSum(kernel), 1 / pairs);
  };
  const apart = b.add(
    meanKernel(neuronProducts(b, x), ofX, ofX, x.neurons ** 2),
    meanKernel(neuronProducts(b, y), ofY, ofY, y.neurons ** 2),
  );
  return b.sub(apart, b.scale(meanKernel(cross, ofY, ofX, x.neurons * y.neurons), 2));
}

/** Squared lengths [groups, neurons, 1]: 1, or 0 of an inactive neuron. */
function squares(b: Builder, g: Groups): Value {
  const sums = b.reduceSumSquare(g.x, [rowAxis(g)], true);
  return b.stopGradient(g.neuronsFirst ? sums : b.swapLast(sums));
}
