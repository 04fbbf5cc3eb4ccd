// Runs a family's table of samples through the gradient checker, and holds the table to be complete.
import { describe, expect, it } from "vitest";
import { tableKey } from "../../src/ops/builder.ts";
import type { OpDefinition } from "../../src/ops/define.ts";
import type { TargetName } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";

export type Samples = Readonly<Record<string, readonly Sample[]>>;

/** Every op of the family has samples, and each sample passes for each target. */
export function checkFamily(
  family: readonly OpDefinition[],
  samples: Samples,
  targets: readonly TargetName[] = ["cpu"],
): void {
  it("has samples for every op of the family, and for no other", () => {
    const ops = family.map((d) => tableKey(d.op, d.domain));
    expect(Object.keys(samples).sort()).toEqual([...ops].sort());
    for (const op of ops) expect(samples[op]?.length, op).toBeGreaterThan(0);
  });
  describe.each(Object.keys(samples))("%s", (op) => {
    for (const target of targets)
      for (const [i, sample] of (samples[op] ?? []).entries())
        it(`${sample.name} [${target}]`, () => checkSample(sample, 100 + i, target));
  });
}
