// Einsum against ONNX Runtime, its gradients, and the matrix products that it becomes.
import { describe, expect, it } from "vitest";
import type { Shape } from "../../src/base/tensor.ts";
import { string } from "../../src/graph/graph.ts";
import { einsumOps } from "../../src/ops/einsum.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { emit } from "./emit.ts";
import { node, testNodes } from "./node-cases.ts";

const sum = (equation: string, ...inputs: Shape[]) => node("Einsum", inputs, { equation: string(equation) });

testNodes(einsumOps, [
  sum("ij,jk->ik", [2, 3], [3, 4]),
  sum("ij,jk", [2, 3], [3, 4]),
  sum("bij,bkj->bik", [2, 3, 4], [2, 2, 4]),
  sum("bqhd,bkhd->bhqk", [2, 3, 2, 4], [2, 2, 2, 4]),
  sum("bhqk,bkhd->bqhd", [2, 2, 3, 2], [2, 2, 2, 4]),
  sum("i,j->ji", [2], [3]),
  sum("i,i->", [4], [4]),
  sum("ij->ji", [2, 3]),
  sum("ij->i", [2, 3]),
  sum("ij,k->ik", [2, 3], [4]),
  sum("...ij,...jk->...ik", [2, 2, 3], [2, 3, 2]),
  sum("...ij,jk->...ik", [2, 2, 3], [3, 2]),
  {
    ...sum("...i,...i->...", [2, 1, 3], [4, 3]),
    notRun: "ONNX Runtime refuses dots that broadcast, which the specification allows",
  },
  sum(" i j , j -> i ", [2, 3], [3]),
  sum("ij,jk,kl->il", [2, 3], [3, 2], [2, 4]),
  sum("ij,ij,ij->ij", [2, 3], [2, 3], [2, 3]),
  sum("ii->i", [3, 3]),
  sum("ii", [3, 3]),
  sum("bii->bi", [2, 3, 3]),
  sum("iji,jk->ik", [3, 2, 3], [2, 2]),
]);

describe("refusals", () => {
  it.each([
    ["ii->i", [[2, 3]], 'gives "i" both to 2 and to 3'],
    ["ij,jk->ik", [[2, 2]], "has 2 operands, but 1 are given"],
    ["ijk->i", [[2, 2]], "gives 3 labels to [2,2]"],
    [
      "ij,jk->ik",
      [
        [2, 3],
        [4, 2],
      ],
      'gives "j" both to 3 and to 4',
    ],
    ["ij->k", [[2, 3]], 'wants "k", which no operand has'],
  ])("%s", (equation, shapes, why) => {
    const b = newBuilder("test", targets.cpu);
    const xs = shapes.map((dims, i) => b.graph.addInput(`x${i}`, { dtype: "float32", dims }));
    expect(() => emit(b, "Einsum", xs, { equation: string(equation) })).toThrow(
      `Einsum at node "node": equation "${equation}" ${why}`,
    );
  });
});
