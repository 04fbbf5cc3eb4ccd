// Bad input through the whole program: one line, a code that is not 0, nothing half-written.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { bandsNpz, cli, refusal, trainArgs, world } from "./helpers.ts";

/** The refusal of a train call, and that it left no folder behind. */
async function refused(at: (name: string) => string, ...more: string[]): Promise<string> {
  const line = await refusal(trainArgs(at, "out", ...more));
  expect(existsSync(at("out"))).toBe(false);
  return line.replaceAll(at(""), "");
}

describe("train refuses before it writes", () => {
  it("a model that is cut short, empty, missing, or no model", async () => {
    const { at } = world();
    const whole = readFileSync(at("student.onnx"));
    const cut = at("cut.onnx");
    writeFileSync(cut, whole.subarray(0, 1000));
    expect(await refused(at, "--student", cut)).toMatch(
      /^1 error: \/?cut\.onnx: not a whole ONNX model: it is cut short or damaged \(1000 bytes\); fetch or export it again$/,
    );
    expect(await refused(at, "--teacher", cut)).toContain("cut.onnx: not a whole ONNX model");
    writeFileSync(cut, "");
    expect(await refused(at, "--teacher", cut)).toMatch(/^1 error: \/?cut\.onnx: the file is empty$/);
    expect(await refused(at, "--student", at("no.onnx"))).toMatch(/^1 error: \/?no\.onnx: no such file$/);
    expect(await refused(at, "--student", at("data.npz"))).toMatch(/^1 error: \/?data\.npz: /);
  });

  it("a module that fails, is missing, or makes no model", async () => {
    const { at } = world();
    writeFileSync(at("throws.mjs"), 'export default () => { throw new Error("out of ideas"); };');
    writeFileSync(at("number.mjs"), "export default 7;");
    writeFileSync(at("other.mjs"), "export const model = 1;");
    expect(await refused(at, "--student", at("throws.mjs"))).toMatch(
      /throws\.mjs: the module failed: out of ideas$/,
    );
    expect(await refused(at, "--student", at("number.mjs"))).toMatch(
      /number\.mjs: its default export gives a value of type number; export the bytes/,
    );
    expect(await refused(at, "--student", at("other.mjs"))).toMatch(/its default export gives nothing;/);
    expect(await refused(at, "--student", at("none.mjs"))).toMatch(/none\.mjs: no such file$/);
  });

  it("an op without a gradient between a weight and the loss", async () => {
    const { at } = world();
    const graph = new Graph("student", [["", 17]]);
    const image = graph.addInput("image", { dtype: "float32", dims: [32, 1, 8, 8] });
    const weight = graph.addConstant("weight", {
      dtype: "float32",
      dims: [64, 4],
      data: Float32Array.from({ length: 256 }, (_, i) => Math.sin(i)),
    });
    const step = (op: string, inputs: Parameters<Graph["addNode"]>[0]["inputs"], name: string) =>
      graph.addNode({ op, name, inputs, outputs: [name] }).outputs[0];
    const flat = step("Flatten", [image], "flat");
    const counted = step("Det", [step("Gemm", [flat, weight], "features")], "det");
    graph.addOutput(counted!);
    graph.addOutput(graph.find("features")!);
    writeFileSync(at("det.onnx"), writeGraph(graph));
    const line = await refused(at, "--student", at("det.onnx"));
    expect(line).toMatch(/^1 error: .*Det/);
  });

  it("a tap, logits or frozen weights that do not exist, with the nearest names", async () => {
    const { at } = world();
    const args = (tap: string) => [
      ...[
        "train",
        "--student",
        at("student.onnx"),
        "--teacher",
        at("teacher.onnx"),
        "--data",
        at("data.npz"),
      ],
      ...["--batch", "32", "--out", at("out"), "--tap", tap],
    ];
    expect(await refusal(args("f=features:featurs"))).toMatch(
      /^1 error: tap "f": the student .* has no value "featurs"\. Did you mean "features"/,
    );
    expect(await refusal(args("feature:features"))).toMatch(
      /^1 error: tap "features": the teacher .* has no value "feature"\. Did you mean "features"/,
    );
    expect(await refused(at, "--student-logits", "lgits")).toMatch(
      /has no value "lgits"\. Did you mean "logits"/,
    );
    expect(await refused(at, "--freeze", "stem*")).toMatch(
      /^1 error: --freeze 'stem\*' matches no weight of /,
    );
    expect(await refused(at, "--tap", "features")).toMatch(
      /^2 error: distill: two taps are named "features"/,
    );
  });

  it("labels out of range", async () => {
    const { at } = world();
    writeFileSync(at("data.npz"), bandsNpz({ label: 9 }));
    expect(await refused(at)).toMatch(
      /^1 error: the data has labels for 10 classes, the student .*student\.onnx gives 4 logits$/,
    );
  });

  it("data that is cut short, of another shape, too little, or not there", async () => {
    const { at } = world();
    const whole = readFileSync(at("data.npz"));
    writeFileSync(at("data.npz"), whole.subarray(0, whole.length / 2));
    expect(await refused(at)).toMatch(/^1 error: \/?data\.npz: /);
    expect(await refused(at, "--data", at("nowhere"))).toMatch(
      /^1 error: \/?nowhere: no such file or folder; /,
    );
    writeFileSync(at("data.npz"), whole);
    expect(await refused(at, "--batch", "512")).toMatch(
      /^1 error: a batch of 512 needs at least as many samples, the data set has 256;/,
    );
    expect(await refused(at, "--eval-data", at("nowhere"))).toMatch(/^1 error: \/?nowhere: no such/);
  });

  it("a run folder whose path leads through a file", async () => {
    const { at } = world();
    expect(await refusal(trainArgs(at, "data.npz/run"))).toBe(
      `1 error: cannot make the run folder ${at("data.npz/run")}: a part of the path is a file; choose another --out`,
    );
  });
});

describe("train, once begun", () => {
  it("stops at a loss that is not finite, says what to do, and leaves no student", async () => {
    const { at } = world();
    const { code, out, err } = await cli(trainArgs(at, "out", "--lr", "1e30", "--epochs", "2"));
    expect([code, out]).toEqual([1, ""]);
    expect(err.trimEnd().split("\n").at(-1)).toMatch(
      /^error: the loss is (NaN|-?Infinity).* at step \d+: .* has grown from \S+ to \S+: lower the learning rate \(1\.00e\+30\), or clip gradients \(--clip-norm\)\. The state before it is saved in .*out\.$/,
    );
    expect(existsSync(at("out/student.onnx"))).toBe(false);
    expect(existsSync(at("out/report.html"))).toBe(false);
  });
});

describe("inspect and eval", () => {
  it("refuse what is no model", async () => {
    const { at } = world();
    writeFileSync(at("half.onnx"), readFileSync(at("student.onnx")).subarray(0, 700));
    for (const args of [["inspect"], ["eval", "--data", at("data.npz")]])
      expect(await refusal([...args, at("half.onnx")])).toMatch(
        /^1 error: .*half\.onnx: not a whole ONNX model/,
      );
  });

  it("eval refuses labels that the model cannot give, and data without any", async () => {
    const { at } = world();
    writeFileSync(at("data.npz"), bandsNpz({ label: 9 }));
    expect(await refusal(["eval", at("student.onnx"), "--data", at("data.npz"), "--split", "train"])).toMatch(
      /^1 error: evaluation data: sample 3 has label 9, but 4 classes leave only 0 to 3;/,
    );
  });
});
