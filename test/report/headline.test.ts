import { describe, expect, it } from "vitest";
import type { ModelRow, ReportData } from "../../src/report/data.ts";
import { headline, marginOfError } from "../../src/report/headline.ts";

const teacher: ModelRow = { role: "teacher", label: "t", parameters: 175_258, metrics: { top1: 0.9325 } };
const distilled: ModelRow = {
  role: "student",
  label: "d",
  training: "distilled",
  parameters: 11_234,
  metrics: { top1: 0.881, agreement: 0.903 },
};
const alone = (top1: number | null): ModelRow => ({
  role: "student",
  label: "l",
  training: "labels",
  parameters: 11_234,
  metrics: { top1 },
});
const say = (...models: ModelRow[]) => headline({ models } as ReportData);

const FIRST =
  "The distilled student reaches 88.1 % top-1 accuracy with 11,234 parameters, 15.6 times fewer than the teacher’s 175,258 (93.3 %).";

describe("headline", () => {
  it.each([
    ["better", 0.872, "87.2 %: distillation gained 0.9 points."],
    ["worse", 0.8863, "88.6 %: distillation lost 0.5 points."],
    ["one point", 0.871, "87.1 %: distillation gained 1.0 point."],
    ["equal as shown", 0.8812, "88.1 %: distillation made no difference."],
  ])("compares with labels alone: %s", (_, top1, end) => {
    expect(say(teacher, alone(top1), distilled)).toBe(
      `${FIRST} Trained from labels alone, the same student reaches ${end}`,
    );
  });

  it.each([[null], [Number.NaN]])("says nothing of labels alone where that is %s", (top1) => {
    expect(say(teacher, alone(top1), distilled)).toBe(FIRST);
  });

  it("does not boast of a student that is larger or as large", () => {
    expect(say({ ...teacher, parameters: 5617 }, distilled)).toContain(
      "2.0 times more than the teacher’s 5,617",
    );
    expect(say({ ...teacher, parameters: 11_234 }, distilled)).toContain(
      "parameters, as many as the teacher (93.3 %)",
    );
  });

  it("takes an unmarked student beside a teacher for distilled, and one without a teacher not", () => {
    const { training: _, ...plain } = distilled;
    expect(say(teacher, plain)).toBe(FIRST);
    expect(say(plain)).toBe("The student reaches 88.1 % top-1 accuracy with 11,234 parameters.");
  });

  it("falls back to agreement, then to the loss", () => {
    expect(say(teacher, { ...distilled, metrics: { top1: null, agreement: 0.903 } })).toBe(
      "The distilled student agrees with its teacher on 90.3 % of the samples with 11,234 parameters, 15.6 times fewer than the teacher’s 175,258.",
    );
    expect(
      say(
        { ...teacher, metrics: { loss: 0.2 } },
        { ...alone(null), metrics: { loss: 0.36 } },
        { ...distilled, metrics: { loss: 0.34 } },
      ),
    ).toMatch(/^The distilled student reaches a loss of 0.34 .*reaches 0.36: distillation gained 0.02.$/);
  });

  it.each([
    ["No model was recorded.", []],
    ["The teacher reaches 93.3 % top-1 accuracy with 175,258 parameters.", [teacher]],
    [
      "The distilled student has 11,234 parameters, 15.6 times fewer than the teacher’s 175,258; it was not evaluated.",
      [teacher, { ...distilled, metrics: {} }],
    ],
    ["The student was not evaluated.", [{ role: "student", label: "s", metrics: {} }]],
    [
      "The distilled student reaches 88.1 % top-1 accuracy (the teacher: 93.3 %).",
      [teacher, { ...distilled, parameters: null }],
    ],
  ] as [string, ModelRow[]][])("%s", (text, models) => {
    expect(say(...models)).toBe(text);
  });
});

it("the margin of error of 88.1 % on 2,000 samples is 1.4 points", () => {
  expect(marginOfError(0.881, 2000)).toBeCloseTo(0.0142, 4);
  expect(marginOfError(null, 2000)).toBeUndefined();
  expect(marginOfError(0.5, 0)).toBeUndefined();
});
