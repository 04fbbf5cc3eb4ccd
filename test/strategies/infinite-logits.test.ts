// Infinite logits that no loss can take are refused by name; what they mean where a loss can is test/losses/infinite-logits.test.ts.
import { describe, expect, it } from "vitest";
import {
  DecoupledDistillationStrategy,
  Matrix,
  MultiLabelDistillationStrategy,
  ResponseDistillationStrategy,
} from "../../src/strategies/index.ts";
import { expectClose } from "./helpers.ts";

const m = (...row: number[]): Matrix => Matrix.fromRows([row]);
const refused = (message: string) => expect.objectContaining({ code: "E_NOT_FINITE", message });

describe("refusals", () => {
  const plain = new ResponseDistillationStrategy();
  it.each<[string, () => unknown, string]>([
    [
      "the student alone rules a class out",
      () => plain.computeLoss(m(0, 1, -Infinity), m(0, 0, 0)),
      "ResponseDistillationStrategy: studentLogits is -Infinity at row 0, column 2, a class to which teacherLogits give 0.333, so the loss is infinite; rule it out on both sides, or give it a finite logit",
    ],
    [
      "the label's class is ruled out",
      () => plain.computeLoss(m(0, 1, -Infinity), m(0, 0, -Infinity), m(0, 0, 1)),
      "ResponseDistillationStrategy: studentLogits is -Infinity at row 0, column 2, a class to which labels give 1, so the loss is infinite; rule it out on both sides, or give it a finite logit",
    ],
    [
      "reverse KL where the teacher alone rules a class out",
      () =>
        new ResponseDistillationStrategy({ divergence: "reverse-kl" }).computeGradient(
          m(0, 0, 0),
          m(0, 1, -Infinity),
        ),
      "ResponseDistillationStrategy: teacherLogits is -Infinity at row 0, column 2, a class to which studentLogits give 0.333, so the loss is infinite; rule it out on both sides, or give it a finite logit",
    ],
    [
      "standardised logits",
      () =>
        new DecoupledDistillationStrategy({ standardize: true }).computeLoss(m(0, 1, 2), m(0, 1, -Infinity)),
      "teacherLogits is -Infinity at row 0, column 2; standardize takes the mean of the row, which that makes infinite: leave standardize off, or that class out on both sides",
    ],
    [
      "a row without a possible class",
      () => plain.computeLoss(m(0, 1), m(-Infinity, -Infinity)),
      "teacherLogits is -Infinity in all of row 0, which rules out every class; leave one possible, or leave that sample out",
    ],
    [
      "+∞",
      () => plain.computeGradient(m(0, Infinity), m(0, 1)),
      "studentLogits is Infinity at row 0, column 1; every value must be finite: look at that sample and what computes it",
    ],
    [
      "a certain answer that the teacher contradicts",
      () => new MultiLabelDistillationStrategy().computeLoss(m(0, -Infinity), m(0, 2)),
      "MultiLabelDistillationStrategy: studentLogits is -Infinity at row 0, column 1, a probability of 0, where teacherLogits is 2, so the loss is infinite; give it a finite logit",
    ],
  ])("%s", (_, call, message) => {
    expect(call).toThrowError(refused(message));
  });
});

it("the gradient is PyTorch's also where the loss is infinite", () => {
  const g = new ResponseDistillationStrategy({ temperature: 2 }).computeGradient(
    m(1, 2, 3, -Infinity),
    m(1, 0, 2, 0.5),
  );
  const torch = [-0.030782973894234365, 0.07842160001111874, 0.04888970883374691, -0.09652833495063125];
  expectClose(
    g.data,
    torch.map((v) => 4 * v),
    1e-12,
  );
});
