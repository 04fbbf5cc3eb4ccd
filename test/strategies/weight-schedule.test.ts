import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type WeightSchedule, weightSchedule } from "../../src/strategies/weight-schedule.ts";

/** The factors of all steps of a run. */
function factors(schedule: WeightSchedule, steps: number, stepsPerEpoch = 1): number[] {
  const at = weightSchedule("Owner", schedule);
  return Array.from({ length: steps }, (_, step) => at({ step, steps, stepsPerEpoch }));
}

describe("a weight's schedule", () => {
  it("is 1 throughout by default", () => {
    expect(factors({}, 5)).toEqual([1, 1, 1, 1, 1]);
  });

  it("begins at `start`, ends at `end`", () => {
    expect(factors({ start: 2, end: 4, unit: "steps" }, 6)).toEqual([0, 0, 1, 1, 0, 0]);
    expect(factors({ end: 4, final: 0.25, unit: "steps" }, 6)).toEqual([1, 1, 1, 1, 0.25, 0.25]);
  });

  it("rises linearly over the warm-up, whose last step is whole", () => {
    expect(factors({ warmup: 4, unit: "steps" }, 6)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(factors({ start: 1, warmup: 2, unit: "steps" }, 5)).toEqual([0, 0.5, 1, 1, 1]);
  });

  it("falls linearly or by a cosine, to `final` at the end of the run or at `end`", () => {
    expect(factors({ decay: "linear" }, 4)).toEqual([1, 0.75, 0.5, 0.25]);
    expect(factors({ decay: "linear", end: 2, final: 0.5 }, 4)).toEqual([1, 0.75, 0.5, 0.5]);
    const cosine = factors({ decay: "cosine", warmup: 1, end: 5, unit: "steps" }, 7);
    [1, 1, 0.5 + Math.SQRT1_2 / 2, 0.5, 0.5 - Math.SQRT1_2 / 2, 0, 0].forEach((f, i) => {
      expect(cosine[i], `step ${i}`).toBeCloseTo(f, 14);
    });
  });

  it("counts epochs unless told otherwise, parts of them too", () => {
    expect(factors({ start: 1, warmup: 1, end: 2.5 }, 12, 4)).toEqual([
      ...[0, 0, 0, 0],
      ...[0.25, 0.5, 0.75, 1],
      ...[1, 1, 0, 0],
    ]);
    expect(factors({ warmup: 0.3 }, 3, 5)).toEqual([1 / 1.5, 1, 1]);
  });

  it("stays within [0, 1]", () => {
    const schedule = fc.record({
      start: fc.double({ min: 0, max: 5, noNaN: true }),
      warmup: fc.double({ min: 0, max: 5, noNaN: true }),
      decay: fc.constantFrom("constant" as const, "linear" as const, "cosine" as const),
      end: fc.double({ min: 10, max: 20, noNaN: true }),
      final: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(schedule, fc.integer({ min: 1, max: 7 }), (s, perEpoch) => {
        for (const f of factors(s, 25 * perEpoch, perEpoch)) {
          expect(f).toBeGreaterThanOrEqual(0);
          expect(f).toBeLessThanOrEqual(1 + 1e-12);
        }
      }),
    );
  });

  it.each([
    [{ strat: 1 }, 'Owner: schedule: unknown option "strat". Did you mean "start"?'],
    [{ warmup: -1 }, "Owner: schedule: warmup must be a finite number of epochs, 0 or more, got -1"],
    [
      { end: Number.NaN, unit: "steps" },
      "Owner: schedule: end must be a finite number of steps, 0 or more, got NaN",
    ],
    [
      { final: 2 },
      "Owner: schedule: final must lie in [0, 1], got 2; it is the share of the weight that is left",
    ],
    [
      { decay: "cosin" },
      'Owner: schedule: decay is one of "constant", "linear", "cosine", got "cosin". Did you mean "cosine"?',
    ],
    [{ unit: "weeks" }, 'Owner: schedule: unit is one of "epochs", "steps", got "weeks".'],
    [
      { start: 2, warmup: 2, end: 3 },
      "Owner: schedule: end (3) lies before the warm-up ends (4); the weight would never be whole",
    ],
  ])("refuses %j", (schedule, message) => {
    expect(() => weightSchedule("Owner", schedule as WeightSchedule)).toThrow(message);
  });
});
