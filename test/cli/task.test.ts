// --task and its options in train, eval and inspect.
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildModel, conv, linear, relu, sequential } from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { npzFile } from "../data/files.ts";
import { testRandom } from "../gradient-checker.ts";
import { cli, refusal, world } from "./helpers.ts";

const numbers = (n: number, seed: number) => {
  const random = testRandom(seed);
  return Float32Array.from({ length: n }, () => 2 * random() - 1);
};

/** Images [N, 1, 4, 4], a class for each pixel by its sign, the first pixel ignored; two models [N, 2, 4, 4]. */
function segmentationWorld() {
  const { at } = world();
  const [train, test] = [48, 16];
  const pixels = (n: number, seed: number) => {
    const x = numbers(n * 16, seed);
    return { x, y: Int32Array.from(x, (v, i) => (i % 16 === 0 ? 255 : v > 0 ? 1 : 0)) };
  };
  const [a, b] = [pixels(train, 1), pixels(test, 2)];
  writeFileSync(
    at("scenes.npz"),
    npzFile({
      x_train: [a.x, [train, 1, 4, 4]],
      y_train: [a.y, [train, 4, 4]],
      x_test: [b.x, [test, 1, 4, 4]],
      y_test: [b.y, [test, 4, 4]],
    }),
  );
  const model = (seed: number, width: number) =>
    modelBytes(
      buildModel(
        { input: { name: "image", dims: ["batch", 1, 4, 4] }, seed },
        sequential(conv(width, 1), relu(), conv(2, 1)),
      ),
    );
  writeFileSync(at("unet.onnx"), model(1, 4));
  writeFileSync(at("big.onnx"), model(2, 16));
  return at;
}

/** Sequences [N, 3, 2], targets [N]; a model [N, 1]. */
function regressionWorld() {
  const { at } = world();
  const x = numbers(64 * 2, 3);
  const y = Float32Array.from({ length: 64 }, (_, i) => x[2 * i]! - 2 * x[2 * i + 1]!);
  writeFileSync(at("points.npz"), npzFile({ x: [x, [64, 2]], y: [y, [64]] }));
  writeFileSync(
    at("line.onnx"),
    modelBytes(buildModel({ input: { name: "x", dims: ["batch", 2] }, seed: 1 }, linear(1))),
  );
  return at;
}

describe("train", () => {
  it("a segmentation: metrics of pixels in progress, result, run.json and report", async () => {
    const at = segmentationWorld();
    const common = [
      "--data",
      at("scenes.npz"),
      "--task",
      "segmentation",
      "--ignore-index",
      "255",
      "--batch",
      "16",
    ];
    const taught = await cli([
      "train",
      "--student",
      at("big.onnx"),
      ...common,
      "--epochs",
      "20",
      "--out",
      at("t"),
    ]);
    expect(taught.code).toBe(0);
    const { code, out, err } = await cli([
      ...["train", "--student", at("unet.onnx"), "--teacher", at("t/student.onnx"), ...common],
      ...["--epochs", "10", "--out", at("s")],
    ]);
    expect(code).toBe(0);
    expect(err).toMatch(/\nteacher: mIoU [\d.]+ % {2}pixel accuracy [\d.]+ % {2}loss [\d.]+\n/);
    expect(out).toMatch(
      /^student: mIoU [\d.]+ % \(teacher [\d.]+ %\) {2}pixel accuracy [\d.]+ % {2}loss [\d.]+ {2}agreement [\d.]+ % {2}18 parameters/,
    );
    const record = JSON.parse(readFileSync(at("s/run.json"), "utf8"));
    expect(record.config).toMatchObject({ task: "segmentation", ignoreIndex: 255 });
    expect(record.final.models[1].metrics.meanIoU).toBeGreaterThan(0.8);
    const html = readFileSync(at("s/report.html"), "utf8");
    expect(html).toContain("figures count pixels.");
    expect(html).toContain("Mean IoU against size");
    // The teacher was measured on the same pixels as eval does it.
    const measured = await cli([
      ...["eval", at("s/student.onnx"), "--data", at("scenes.npz"), "--task", "segmentation"],
      ...["--ignore-index", "255", "--json"],
    ]);
    expect(JSON.parse(measured.out).meanIoU).toBe(record.final.models[1].metrics.meanIoU);
    const resumed = await refusal(["train", "--resume", "--out", at("s"), "--ignore-index", "254"]);
    expect(resumed).toBe(
      `1 error: ${at("s")} was begun with --ignore-index 255, now it is --ignore-index 254; resume with the same options, or start a new run`,
    );
  });

  it("a regression with Huber's loss: no classes in the report", async () => {
    const at = regressionWorld();
    const { code, out } = await cli([
      ...["train", "--student", at("line.onnx"), "--data", at("points.npz"), "--eval-data", at("points.npz")],
      ...[
        "--task",
        "regression",
        "--huber-delta",
        "0.5",
        "--batch",
        "16",
        "--epochs",
        "30",
        "--out",
        at("r"),
      ],
    ]);
    expect(code).toBe(0);
    expect(out).toMatch(/^student: MSE [\d.e-]+ {2}MAE [\d.e-]+ {2}R² (0\.99\d*|1) {2}3 parameters/);
    const html = readFileSync(at("r/report.html"), "utf8");
    expect(html).toContain("Mean squared error");
    expect(html).not.toContain("Classes and mistakes");
    expect(JSON.parse(readFileSync(at("r/run.json"), "utf8")).config).toMatchObject({
      task: "regression",
      huberDelta: 0.5,
    });
  });

  it("says what does not go together", async () => {
    const at = regressionWorld();
    const train = (...more: string[]) =>
      refusal(["train", "--student", at("line.onnx"), "--data", at("points.npz"), "--out", at("x"), ...more]);
    expect(await train("--task", "segmentatoin")).toBe(
      "2 error: option '--task <task>' argument 'segmentatoin' is invalid. Allowed choices are classification, multi-label, regression, token-classification, language-modelling, ctc, segmentation. Did you mean \"segmentation\"?",
    );
    expect(await train("--task", "regression", "--ignore-index", "1")).toBe(
      "2 error: --ignore-index belongs to --task classification, token-classification, language-modelling, ctc, segmentation, not to regression",
    );
    expect(await train("--huber-delta", "1")).toBe(
      "2 error: --huber-delta belongs to --task regression, not to classification",
    );
    expect(await train("--ignore-index", "0.5")).toBe(
      "2 error: option '--ignore-index <n>' argument '0.5' is invalid. Expected a whole number.",
    );
    expect(await train("--task", "ctc")).toBe(
      "2 error: distill: task ctc learns from a teacher alone; give one",
    );
    expect(await train("--task", "regression", "--teacher", at("line.onnx"), "--temperature", "2")).toBe(
      "2 error: task regression has no temperature; leave it out",
    );
    expect(await train("--task", "regression", "--monitor", "top1")).toBe(
      '2 error: distill: monitor "top1" is no metric of task regression. It has mse, mae, r2, teacherMse.',
    );
    expect(await train("--batch", "16")).toBe(
      `1 error: the student's logits "logits" (${at("line.onnx")}) are [16,1]: one logit, whose softmax is 1 whatever it is, so a loss of task classification would be constant; for one yes or no take --task multi-label (labels 0 and 1), for one number --task regression`,
    );
    expect(await train("--batch", "16", "--task", "token-classification")).toBe(
      `1 error: the student's logits "logits" (${at("line.onnx")}) are [16,1], task token-classification expects [N, T, C]; name the right value with --student-logits, or the task that takes such logits with --task: classification, multi-label, regression`,
    );
  });
});

describe("eval", () => {
  it("prints the task's metrics, with the teacher's first one", async () => {
    const at = segmentationWorld();
    const { out } = await cli([
      ...["eval", at("unet.onnx"), "--teacher", at("big.onnx"), "--data", at("scenes.npz")],
      ...["--task", "segmentation", "--ignore-index", "255"],
    ]);
    expect(out).toMatch(
      /\n {2}mean IoU +[\d.]+ %\n {2}pixel accuracy +[\d.]+ %\n {2}loss \(nats\) +[\d.]+\n {2}agreement with the teacher +[\d.]+ %\n {2}teacher's mean IoU +[\d.]+ %\n {2}time per sample/,
    );
    expect(out).toContain("recall of each class");
  });

  it("shows no classes where there are none", async () => {
    const at = regressionWorld();
    const { out } = await cli(["eval", at("line.onnx"), "--data", at("points.npz"), "--task", "regression"]);
    expect(out).toMatch(
      /\n {2}mean squared error +[\d.]+\n {2}mean absolute error +[\d.]+\n {2}R² +[−\d.]+\n {2}time/,
    );
    expect(out).not.toContain("recall");
    expect(await refusal(["eval", at("line.onnx"), "--data", at("points.npz"), "--huber-delta", "1"])).toBe(
      "2 error: unknown option '--huber-delta'",
    );
  });
});

describe("inspect", () => {
  it("names the tasks that take the first output", async () => {
    const at = segmentationWorld();
    expect((await cli(["inspect", at("unet.onnx")])).out).toContain(
      "\n  for --task multi-label, regression, segmentation\n",
    );
    expect(JSON.parse((await cli(["inspect", at("unet.onnx"), "--json"])).out).tasks).toEqual([
      "multi-label",
      "regression",
      "segmentation",
    ]);
  });
});
