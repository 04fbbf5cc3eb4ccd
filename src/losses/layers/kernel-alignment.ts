// 1 − linear CKA in the graph, in products of neurons or of samples, whichever are fewer. The emitted twin of
// CenteredKernelAlignmentStrategy (Kornblith et al. 2019).
import type { Value } from "../../graph/graph.ts";
import type { Builder } from "../../ops/builder.ts";
import { type CenteredKernelAlignmentStrategy, DEAD_NORM } from "../../strategies/index.ts";
import type { TapPair } from "../terms.ts";
import {
  centred,
  crossProducts,
  type Groups,
  groupsOf,
  neuronProducts,
  rowAxis,
  rowProducts,
  rowsAreFewer,
  samePositions,
} from "./groups.ts";

export function kernelAlignment(
  b: Builder,
  tap: TapPair,
  { over, debiased }: CenteredKernelAlignmentStrategy,
): Value {
  if (over !== "samples") samePositions(`tap "${tap.name}"`, b, tap.student, tap.teacher);
  const groups = (side: "student" | "teacher"): Groups => {
    const g = groupsOf(b, `tap "${tap.name}": the ${side}'s value`, tap[side], over, debiased ? 4 : 2);
    return { ...g, x: centred(b, g.x, rowAxis(g)) };
  };
  const [x, y] = [groups("student"), groups("teacher")];
  const { xx, xy, yy } = squaredNorms(b, x, y);
  const corrected = (sum: Value, g: Groups, h: Groups) => (debiased ? debias(b, sum, g, h) : sum);
  const floor = b.like(x.x, (x.rows * DEAD_NORM ** 2) ** 2);
  const [own, other] = [corrected(xx, x, x), corrected(yy, y, y)];
  const dead = b.lessOrEqual(b.min(own, other), floor); // NaN is not, and stays NaN
  const one = b.like(x.x, 1);
  const root = (s: Value) => b.sqrt(b.where(dead, one, s));
  const value = b.div(b.div(corrected(xy, x, y), root(own)), root(other));
  const alignment = b.where(dead, b.like(x.x, 0), value);
  return b.sub(one, b.reduceMean(alignment));
}

/** ‖XᵀX‖², ‖XᵀY‖² and ‖YᵀY‖² of each group, [groups]. */
function squaredNorms(b: Builder, x: Groups, y: Groups): { xx: Value; xy: Value; yy: Value } {
  const norm = (m: Value) => b.reduceSumSquare(m, [1, 2]);
  if (!rowsAreFewer(x, y))
    return {
      xx: norm(neuronProducts(b, x)),
      xy: norm(crossProducts(b, y, x)),
      yy: norm(neuronProducts(b, y)),
    };
  const [k, l] = [rowProducts(b, x), rowProducts(b, y)];
  return { xx: norm(k), xy: b.reduceSum(b.mul(k, l), [1, 2]), yy: norm(l) };
}

/** s − n/(n−2)·Σ a b + Σa·Σb/((n−1)(n−2)), a and b the squared lengths of the rows of X and Y. */
function debias(b: Builder, sum: Value, x: Groups, y: Groups): Value {
  const n = x.rows;
  const squares = (g: Groups) => b.reduceSumSquare(g.x, [g.neuronsFirst ? 1 : 2]);
  const [ofX, ofY] = [squares(x), squares(y)];
  const total = (v: Value) => b.reduceSum(v, [1]);
  const products = b.scale(total(b.mul(ofX, ofY)), n / (n - 2));
  const totals = b.scale(b.mul(total(ofX), total(ofY)), 1 / ((n - 1) * (n - 2)));
  return b.add(b.sub(sum, products), totals);
}
