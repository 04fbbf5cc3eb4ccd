import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { npzDataset } from "../../src/data/npz-dataset.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { runReport } from "../../src/report/run-report.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { bandsNpz, cli, trainArgs, world } from "../cli/helpers.ts";

describe("runReport", () => {
  it("measures teacher and student, reads the curves, and agrees with itself", async () => {
    const { at } = world();
    expect((await cli(trainArgs(at, "a", "--epochs", "2", "--log-every", "4"))).code).toBe(0);
    const [teacher, before, after] = [
      await readModelFile(at("teacher.onnx")),
      await readModelFile(at("student.onnx")),
      await readModelFile(at("a/student.onnx")),
    ];
    const scaling = { mean: 0.5, std: 0.25 };
    const options = {
      title: "t",
      models: [
        { role: "teacher", label: "teacher", model: teacher },
        { role: "student", label: "s", training: "distilled", model: after, folder: join(at("a")) },
      ] as const,
      before,
      taps: [{ name: "f", teacher: "features", student: "features" }],
      data: npzDataset(bandsNpz(), scaling),
      evaluation: npzDataset(bandsNpz(), { ...scaling, split: "test" }),
      batch: 32,
      runtime: nodeRuntime,
    };
    const { data, final } = await runReport(options);
    expect(data.models.map((m) => [m.label, m.parameters, m.batch])).toEqual([
      ["teacher", 878, 32],
      ["s", 542, 32],
    ]);
    for (const m of data.models) expect(m.msPerSample).toBeGreaterThan(0);
    const { counts } = data.confusion!;
    const student = data.models[1]!.metrics;
    expect(counts.reduce((n, row, i) => n + row[i]!, 0) / 96).toBe(student.top1);
    expect(data.perClass!.models[1]!.recall[2]).toBe(counts[2]![2]! / counts[2]!.reduce((a, b) => a + b));
    const [run] = data.runs;
    expect(run!.steps.map((s) => [s.step, s.epoch])).toEqual([
      [4, 1],
      [8, 1],
      [12, 2],
      [16, 2],
    ]);
    expect(run!.evaluations.map((e) => [e.step, e.epoch])).toEqual([
      [8, 1],
      [16, 2],
    ]);
    // The best of the run is what was saved, and measuring it again gives what the run said of it.
    expect(Math.max(...run!.evaluations.map((e) => e.metrics.top1!))).toBe(student.top1);
    expect(data.selectivity!.map((s) => [s.tap, s.metric, s.samples, s.after.length])).toEqual([
      ["f", "variance", 96 * 16, 6],
      ["f", "sparsity", 96 * 16, 6],
      ["f", "peak-to-average", 96 * 16, 6],
    ]);
    const variance = data.selectivity![0]!;
    expect(variance.before).not.toEqual(variance.after);
    expect(final.models).toEqual(data.models);

    // Without evaluation data: times, but no metrics of data that was trained on.
    const { evaluation, ...rest } = options;
    const blind = await runReport(rest);
    expect(blind.data.models.map((m) => m.metrics)).toEqual([{}, {}]);
    expect(blind.data.confusion).toBeUndefined();
    expect(blind.data.selectivity![0]!.samples).toBe(256 * 16);
  });
});
