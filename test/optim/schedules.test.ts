// Learning rates against PyTorch's schedulers, and at the ends of a run.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { learningRateSchedule, type ScheduleOptions } from "../../src/optim/schedules.ts";

const { schedules } = JSON.parse(
  readFileSync(new URL("../fixtures/optimizers.json", import.meta.url), "utf8"),
) as { schedules: { options: ScheduleOptions; rates: number[] }[] };

describe("ten steps from 0.1", () => {
  it.each(schedules.map((s) => [JSON.stringify(s.options), s] as const))("%s", (_, { options, rates }) => {
    const rate = learningRateSchedule(0.1, 10, options);
    for (const [step, wanted] of rates.entries()) expect(rate(step), `step ${step}`).toBeCloseTo(wanted, 12);
  });
});

describe("the ends", () => {
  it("warm-up ends at the full rate, and the cosine begins there", () => {
    const rate = learningRateSchedule(0.1, 100, { warmup: 10 });
    expect(rate(0)).toBeCloseTo(0.01, 15);
    expect(rate(9)).toBeCloseTo(0.1, 15);
    expect(rate(10)).toBeCloseTo(0.1, 15);
  });

  it("past the last step the cosine stays at its end", () => {
    expect(learningRateSchedule(0.1, 10)(10)).toBeCloseTo(0, 15);
    expect(learningRateSchedule(0.1, 10)(25)).toBeCloseTo(0, 15);
    expect(learningRateSchedule(0.1, 10, { final: 0.5 })(25)).toBeCloseTo(0.05, 15);
  });

  it("a warm-up as long as the run never divides by zero", () => {
    const rate = learningRateSchedule(0.1, 4, { warmup: 4 });
    expect([0, 1, 2, 3].map(rate)).toEqual([0.1 / 4, 0.2 / 4, (0.1 * 3) / 4, 0.1]);
    expect(rate(4)).toBe(0.1);
  });
});

describe("what is refused", () => {
  it.each([
    [
      { schedule: "cosin" },
      'unknown learning-rate schedule "cosin". Did you mean "cosine"? Known: cosine, step, constant.',
    ],
    [{ warmup: 1.5 }, "warm-up must be a whole number of steps >= 0, got 1.5"],
    [{ warmup: -1 }, "warm-up must be a whole number of steps >= 0, got -1"],
    [{ warmUp: 3 }, 'learning-rate schedule: unknown option "warmUp". Did you mean "warmup"?'],
  ])("%o", (options, message) => {
    expect(() => learningRateSchedule(0.1, 10, options as ScheduleOptions)).toThrow(
      expect.objectContaining({ message: message }),
    );
  });

  it("a rate below 0 or not finite", () => {
    for (const lr of [-0.1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => learningRateSchedule(lr, 10)).toThrow(
        expect.objectContaining({ message: `the learning rate must be a finite number >= 0, got ${lr}` }),
      );
  });
});
