// Data sets that give another sample when the same index is read again: what a teacher said of a sample is never held against
// another one.
import { describe, expect, it } from "vitest";
import { fingerprint } from "../../src/base/fingerprint.ts";
import { tensor } from "../../src/base/tensor.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { SharedTeacherOutputs } from "../../src/train/shared-teacher-outputs.ts";
import { bars, cnn, collect, only } from "./helpers.ts";

const still = bars(64, 1);
/** Noise that `from` says, of the number of the call and the sample. */
function noisy(from: (call: number, sample: number) => number, memory?: Float32Array): Dataset {
  let calls = 0;
  return {
    ...still,
    hasLabels: false,
    async read(indices) {
      const call = calls++;
      const batch = await still.read(indices);
      const x = batch.inputs[0]!;
      const each = x.data.length / indices.length;
      const data = (memory?.subarray(0, x.data.length) ?? new Float32Array(x.data.length)).map(
        (_, i) => (x.data as Float32Array)[i]! + from(call, indices[Math.floor(i / each)]!),
      );
      return { inputs: [{ ...x, data }] };
    },
  };
}
/** The student is its own teacher: its loss is 0 unless the two are shown something else. */
const itself = {
  teacher: cnn,
  student: cnn,
  batch: 16,
  epochs: 3,
  learningRate: 1e-9,
  batchNorm: "frozen",
} as const;
const told =
  "the teacher runs at every step: the data set reads differently when the same index is read twice, and what was kept would be said of other samples than the student is shown";

describe("a data set that reads differently", () => {
  it.each([
    ["at every call", (call: number) => Math.sin(call)],
    ["for half of the samples", (call: number, s: number) => ((call * 31 + s * 17) % 7 > 3 ? 1 : 0)],
  ])("%s: the teacher is shown what the student sees, and a note says so", async (_, noise) => {
    const events = await collect({ ...itself, data: noisy(noise) });
    expect(only(events, "start")[0]!.notes).toContain(told);
    expect(only(events, "teacher")).toEqual([]);
    for (const { losses } of only(events, "step")) expect(losses.loss).toBeLessThan(1e-6);
  });

  it("is not taken for one that repeats because it uses the same memory again", async () => {
    const memory = new Float32Array(1 << 16);
    const data = noisy((call) => Math.sin(call), memory);
    const same: Dataset = {
      ...data,
      async read(indices) {
        const { inputs } = await data.read(indices);
        memory.set(inputs[0]!.data as Float32Array);
        return { inputs: [{ ...inputs[0]!, data: memory.subarray(0, inputs[0]!.data.length) }] };
      },
    };
    const events = await collect({ ...itself, data: same });
    expect(only(events, "start")[0]!.notes).toContain(told);
  });

  it("is refused where the teacher's outputs shall be kept", async () => {
    for (const teacherCache of ["memory", "disk"] as const)
      await expect(collect({ ...itself, teacherCache, data: noisy((call) => call) })).rejects.toThrow(
        `teacherCache "${teacherCache}": the data set reads differently when the same index is read twice, so what the teacher said of a sample does not belong to what the student is shown; use "auto" or "off", or make read() repeat and leave flips and crops to augment`,
      );
  });

  it("is found out also where only later reads are others", async () => {
    // As a data set that counts its epochs.
    const data = noisy((call) => (call > 8 ? 1 : 0));
    await expect(collect({ ...itself, data })).rejects.toThrow(
      /^the data set gives another sample \d+ than when the teacher was asked about it, and what it said then is kept; make read\(\) repeat and leave flips and crops to augment, or set teacherCache to "off"$/,
    );
  });

  it("keeps nothing for other runs", async () => {
    const teacherOutputs = new SharedTeacherOutputs();
    const data = noisy((call) => Math.sin(call));
    for (let i = 0; i < 2; i++) {
      const events = await collect({ ...itself, epochs: 1, data, teacherOutputs });
      expect(only(events, "start")[0]!.notes).toContain(told);
      for (const { losses } of only(events, "step")) expect(losses.loss).toBeLessThan(1e-6);
    }
    teacherOutputs.close();
  });

  it("is none where the last batch to be asked about is smaller than a step's", async () => {
    const events = await collect({ ...itself, data: bars(53, 1), teacherCache: "memory" });
    expect(only(events, "teacher").at(-1)).toMatchObject({ done: 53, total: 53 });
    expect(only(events, "step")).toHaveLength(9);
  });

  it("is told of where it is what the models are measured on", async () => {
    const notes = async (evaluation: Dataset) =>
      only(await collect({ ...itself, epochs: 1, data: still, evaluation }), "start")[0]!.notes;
    const note =
      "the evaluation data reads differently when the same index is read twice: the teacher and each epoch's student are measured on other samples, and agreement compares what they say of different ones";
    expect(await notes(noisy((call) => call))).toContain(note);
    expect(await notes(still)).not.toContain(note);
  });

  it("is not asked twice where nothing is kept", async () => {
    let calls = 0;
    const data = noisy((call) => {
      calls = call;
      return Math.sin(call);
    });
    const events = await collect({ ...itself, data, teacherCache: "off" });
    expect(only(events, "start")[0]!.notes).not.toContain(told);
    expect(calls).toBe(12);
  });
});

describe("fingerprint", () => {
  it("tells samples apart by any of their bytes, and is the same wherever they lie", () => {
    const bytes = Uint8Array.from({ length: 21 }, (_, i) => i % 7);
    const x = tensor("uint8", bytes, [3, 7]);
    expect(fingerprint([x], 0)).toBe(fingerprint([x], 1));
    expect(fingerprint([x], 1)).toBe(fingerprint([x], 2));
    for (let i = 0; i < 7; i++) {
      const other = bytes.slice();
      other[7 + i]!++;
      const y = tensor("uint8", other, [3, 7]);
      expect(fingerprint([y], 1)).not.toBe(fingerprint([x], 1));
      expect(fingerprint([y], 0)).toBe(fingerprint([x], 0));
      expect(fingerprint([tensor("uint8", other.slice(7), [2, 7])], 0)).toBe(fingerprint([y], 1));
    }
    const f = (...v: number[]) => fingerprint([tensor("float32", Float32Array.from(v), [1, v.length])], 0);
    expect(f(1, 2)).not.toBe(f(2, 1));
    expect(f(0)).not.toBe(f(-0));
    expect(f(Number.NaN)).toBe(f(Number.NaN));
  });
});
