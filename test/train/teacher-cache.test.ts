// Kept teacher outputs: what comes back is what was said, from memory and from a file, of every variant; where they go; what
// is left behind.
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import {
  type CachePlan,
  fillCache,
  planCache,
  type TeacherCache,
  tellSaved,
} from "../../src/train/teacher-cache.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "cache-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const samples = 11;
/** Says the sample's number, its variant and a fraction that 16 bits do not hold. */
const said = (chosen: ArrayLike<number>, variant: number): { logits: Tensor; taps: { map: Tensor } } => {
  const n = chosen.length;
  const logits = Float32Array.from({ length: n * 2 }, (_, i) => (i % 2 ? variant : chosen[i >> 1]! + 1 / 3));
  const map = Float32Array.from({ length: n * 6 }, (_, i) => chosen[Math.floor(i / 6)]! * 10 + (i % 6));
  return {
    logits: { dtype: "float32", dims: [n, 2], data: logits },
    taps: { map: { dtype: "float32", dims: [n, 2, 3], data: map } },
  };
};

async function fill(plan: CachePlan, variants = 1): Promise<[TeacherCache, number[]]> {
  const filling = fillCache({ plan, samples, variants, batch: 4, ask: async (s, v) => said(s, v) });
  const progress: number[] = [];
  for (;;) {
    const next = await filling.next();
    if (next.done) return [next.value, progress];
    progress.push(next.value);
  }
}

describe.each(["memory", "disk"] as const)("kept in %s", (place) => {
  it("gives what was said, of any samples in any order, in each variant", async () => {
    const [cache, progress] = await fill({ place, type: "float32", bytes: 0, folder }, 3);
    expect(progress).toEqual([4, 8, 11, 15, 19, 22, 26, 30, 33]);
    for (const variant of [2, 0, 1]) {
      const chosen = [10, 0, 7, 7];
      expect(cache.gather(chosen, variant)).toEqual(said(chosen, variant));
    }
    cache.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("rounds to the nearest float16 when asked to", async () => {
    const [cache] = await fill({ place, type: "float16", bytes: 0, folder });
    const { logits, taps } = cache.gather([1, 9]);
    // Between 1 and 2 float16 has steps of 2⁻¹⁰, between 8 and 16 of 2⁻⁷.
    expect([...(logits.data as Float32Array)]).toEqual([
      Math.round((4 / 3) * 2 ** 10) / 2 ** 10,
      0,
      Math.round((28 / 3) * 2 ** 7) / 2 ** 7,
      0,
    ]);
    expect(taps.map).toEqual(said([1, 9], 0).taps.map);
    cache.close();
  });

  it("counts what was asked for, and how long that took", async () => {
    const [cache] = await fill({ place, type: "float32", bytes: 0, folder }, 2);
    expect(cache.asked).toBe(22);
    expect(cache.msEach).toBeGreaterThan(0);
    cache.close();
  });
});

it.each(["float32", "float16"] as const)("a file of %s that was cut short is one error", async (type) => {
  const [cache] = await fill({ place: "disk", type, bytes: 0, folder });
  const [own] = readdirSync(folder);
  for (const name of readdirSync(join(folder, own!))) truncateSync(join(folder, own!, name), 40);
  expect(cache.gather([0]).logits).toEqual(type === "float32" ? said([0], 0).logits : expect.anything());
  expect(() => cache.gather([10])).toThrow(/was cut short by somebody else; resume the run$/);
  cache.close();
});

it("tells what was saved once something was", () => {
  expect(tellSaved(11, 11, 1000)).toBeUndefined();
  expect(tellSaved(11, 33, 1000)).toBe(
    "the teacher answered for 11 samples instead of 33, which saved about 22 s",
  );
  expect(tellSaved(0, 33, 1000)).toBe(
    "the teacher was not asked: what it told an earlier run served for 33 samples, which saved about 33 s",
  );
});

it("leaves no file behind when filling is given up, or the teacher fails", async () => {
  const plan = { place: "disk", type: "float32", bytes: 0, folder } as const;
  const given = fillCache({ plan, samples, variants: 1, batch: 4, ask: async (s, v) => said(s, v) });
  await given.next();
  expect(readdirSync(folder)).toHaveLength(1);
  await given.return(undefined as never);
  expect(readdirSync(folder)).toEqual([]);
  let asked = 0;
  const failing = fillCache({
    plan,
    samples,
    variants: 1,
    batch: 4,
    ask: async (s, v) => {
      if (asked++ > 0) throw new Error("no answer");
      return said(s, v);
    },
  });
  await failing.next();
  await expect(failing.next()).rejects.toThrow("no answer");
  expect(readdirSync(folder)).toEqual([]);
});

describe("where they go", () => {
  const types = [{ dtype: "float32", dims: [4, 10] }] as const;
  const options = { place: "auto", type: "float32", memoryBytes: 4000, folder } as const;
  it("auto takes memory up to its limit, then a file", () => {
    expect(planCache(options, types, 100)).toEqual({ place: "memory", bytes: 4000, type: "float32", folder });
    expect(planCache(options, types, 101)?.place).toBe("disk");
    expect(planCache({ ...options, type: "float16" }, types, 200)).toMatchObject({
      place: "memory",
      bytes: 4000,
    });
  });
  it("off keeps nothing, nor does auto what fills more than half of the disk", () => {
    expect(planCache({ ...options, place: "off" }, types, 1)).toBeUndefined();
    expect(planCache(options, types, 1e15)).toBeUndefined();
  });
  it("a disk asked for by name that is too small is an error", () => {
    expect(() => planCache({ ...options, place: "disk" }, types, 1e15)).toThrow(
      /^the teacher's outputs take .+, more than half of what is free in .+ \(.+\); keep them as float16, or run the teacher at every step$/,
    );
  });
});

describe("in a run", () => {
  const data = bars(64, 1);
  const base = {
    student: cnn,
    teacher: cnn,
    data,
    epochs: 4,
    batch: 16,
    taps: [{ teacher: "relu_1", student: "relu_1" }],
  };
  it("variants repeat, so that the teacher is asked once for each and the bits stay the same", async () => {
    let asked = 0;
    const counted = { ...data, read: (i: ArrayLike<number>) => data.read(i) };
    const run = async (teacherCache: "off" | "memory") => {
      const events = await collect({
        ...base,
        taps: [],
        teacher: ([x]) => {
          asked += x!.dims[0]!;
          const n = x!.dims[0]!;
          // Depends on the augmented pixels.
          const logits = Float32Array.from(
            { length: n * 5 },
            (_, i) => 4 * (x!.data as Float32Array)[Math.floor(i / 5) * 256 + (i % 5) * 51]!,
          );
          return { logits: { dtype: "float32", dims: [n, 5], data: logits } };
        },
        data: counted,
        augment: { flip: true, crop: 2, variants: 2 },
        teacherCache,
      });
      const count = asked;
      asked = 0;
      return { count, done: only(events, "done")[0]! };
    };
    const [off, kept] = [await run("off"), await run("memory")];
    // One batch more, to learn the shapes.
    expect([off.count, kept.count]).toEqual([4 * 64 + 16, 2 * 64 + 16]);
    expect(kept.done.student).toEqual(off.done.student);
    expect(kept.done.notes).toEqual([
      expect.stringMatching(/^the teacher answered for 128 samples instead of 256/),
    ]);
    expect(off.done.notes).toEqual([]);
  });

  it("a file in the run folder is gone after the run", async () => {
    const out = join(folder, "run");
    const events = await collect({ ...base, taps: [], out, teacherCache: "disk" });
    expect(only(events, "start")[0]!.notes.join()).toMatch(/kept in a file \(/);
    expect(existsSync(out) && readdirSync(out).filter((f) => f.startsWith("teacher-cache"))).toEqual([]);
  });
});
