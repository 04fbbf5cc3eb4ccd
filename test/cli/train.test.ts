import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { cli, refusal, smallModel, trainArgs, world } from "./helpers.ts";

const json = <T = Record<string, unknown>>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T;

describe("train", () => {
  it("distils: progress on stderr, the result on stdout, everything in the run folder", async () => {
    const { at } = world();
    const { code, out, err } = await cli(trainArgs(at, "a", "--epochs", "2", "--lr", "0.05"));
    expect(code).toBe(0);
    expect(err).toMatch(
      /^student: 542 parameters; 2 epochs of 8 steps\n {2}role {8}tensors {2}numbers {2}why.*\n {2}trained {11}3 {6}494 {2}a weight of Conv {26}conv\*.weight ×2, conv2.bias\n(?: {2}.*\n){3}note: teacher outputs are computed once/,
    );
    expect(err).toMatch(/\nteacher: top-1 \d+\.\d % {2}top-5 100\.0 % {2}loss [\d.]+\n/);
    expect(err).toMatch(/\nstudent, epoch 2\/2: top-1 [\d.]+ % \(teacher [\d.]+ %\) .* agreement [\d.]+ %/);
    expect(err).not.toContain("\r");
    const lines = out.split("\n");
    expect(lines[0]).toMatch(
      /^student: top-1 [\d.]+ % \(teacher [\d.]+ %\) {2}top-5 .* {2}542 parameters, [\d.]+ kB, [\d.]+ [µm]s per sample$/,
    );
    expect(lines.slice(1)).toEqual([at("a/student.onnx"), at("a/report.html"), ""]);
    expect(readdirSync(at("a")).sort()).toEqual([
      "checkpoints",
      "metrics.jsonl",
      "report.html",
      "run.json",
      "student.onnx",
    ]);
    const record = json<{ final: { models: { label: string }[]; selectivity: Record<string, unknown>[] } }>(
      at("a/run.json"),
    );
    expect(record.final.models.map((m) => m.label)).toEqual(["teacher", "student"]);
    expect(record.final.selectivity.map((s) => [s.tap, s.metric, s.samples])).toEqual([
      ["features", "variance", 96 * 16],
      ["features", "sparsity", 96 * 16],
      ["features", "peak-to-average", 96 * 16],
    ]);
    for (const s of record.final.selectivity)
      for (const side of ["teacher", "before", "after"]) expect(s[side]).toHaveLength(6);
    const html = readFileSync(at("a/report.html"), "utf8");
    expect(html).toContain("Neuron selectivity");
    expect(html).toContain("onnx-distill train --student");
  });

  it("--json prints one object per event and nothing else", async () => {
    const { at } = world();
    const { code, out, err } = await cli(trainArgs(at, "a", "--epochs", "1", "--json"));
    expect([code, err]).toEqual([0, ""]);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const types = events.map((e) => e.type);
    expect(types.filter((t, i) => t !== types[i - 1])).toEqual([
      "start",
      "evaluation",
      "step",
      "evaluation",
      "checkpoint",
      "done",
      "written",
    ]);
    expect(types.filter((t) => t === "step")).toHaveLength(8);
    expect(events.at(-2)).toMatchObject({ step: 8, interrupted: false });
    expect(events.at(-1)).toMatchObject({ student: at("a/student.onnx"), report: at("a/report.html") });
  });

  it("trains from labels without a teacher, a student that a module makes from the seed", async () => {
    const { at } = world();
    const helpers = new URL("./helpers.ts", import.meta.url).href;
    writeFileSync(
      at("make.mjs"),
      `import { smallModel } from ${JSON.stringify(helpers)};\nexport default async (seed) => smallModel(seed);\n`,
    );
    const { code, out } = await cli([
      ...["train", "--student", at("make.mjs"), "--data", at("data.npz"), "--mean", "0.5", "--std", "0.25"],
      ...["--epochs", "6", "--batch", "32", "--seed", "5", "--lr", "0.1", "--out", at("a")],
    ]);
    expect(code).toBe(0);
    const accuracy = Number(/top-1 ([\d.]+) %/.exec(out)?.[1]);
    expect(accuracy).toBeGreaterThan(80);
    const { final } = json<{ final: { models: { training: string }[]; selectivity?: unknown } }>(
      at("a/run.json"),
    );
    expect(final.models.map((m) => m.training)).toEqual(["labels"]);
    expect(final.selectivity).toBeUndefined();
  });

  it("chooses taps where an option asks for selectivity and no --tap names them", async () => {
    const { at } = world();
    const args = trainArgs(at, "a", "--epochs", "1", "--metric", "sparsity");
    const without = args.filter((a, i) => a !== "--tap" && args[i - 1] !== "--tap");
    const { code, err } = await cli(without);
    expect(code).toBe(0);
    expect(err).toContain('note: tap "features" was chosen (--tap names others): [6,4,4] of the student');
    const { config, final } = json<{
      config: { taps: { name: string }[] };
      final: { selectivity: { tap: string }[] };
    }>(at("a/run.json"));
    expect(config.taps.map((t) => t.name)).toEqual(["features", "late"]);
    expect(new Set(final.selectivity.map((s) => s.tap))).toEqual(new Set(["features", "late"]));
    expect(readFileSync(at("a/report.html"), "utf8")).toContain("was chosen (--tap names others)");
    const resumed = await cli(["train", "--resume", "--out", at("a")]);
    expect(resumed.err).not.toContain("error");
  });

  it("refuses a folder that holds a run, before it opens anything", async () => {
    const { at } = world();
    writeFileSync(at("run.json"), "{}");
    expect(await refusal(["train", "--student", "no", "--data", "no", "--out", at("")])).toBe(
      `1 error: ${at("")} holds a run already; continue it with --resume, or choose another --out`,
    );
  });
});

describe("interrupted and resumed", () => {
  /** Aborts when so many steps are done; --json tells of each. */
  async function interruptedAt(step: number, args: readonly string[]) {
    const controller = new AbortController();
    const said = await cli([...args, "--json"], {
      signal: controller.signal,
      onOut: (text) => text.includes(`"type":"step","step":${step},`) && controller.abort(),
    });
    expect(said.code).toBe(130);
    expect(said.out).toContain('"interrupted":true');
  }

  it("ends with the bytes of an uninterrupted run, from --resume --out alone", async () => {
    const { at } = world();
    await cli(trainArgs(at, "whole", "--epochs", "2", "--flip", "--crop", "1"));
    await interruptedAt(5, trainArgs(at, "cut", "--epochs", "2", "--flip", "--crop", "1"));
    expect(existsSync(at("cut/report.html"))).toBe(false);
    expect(await refusal(["train", "--resume", "--out", at("cut"), "--batch", "3"])).toBe(
      `1 error: ${at("cut")} was begun with --batch 32, now it is --batch 3; resume with the same options, or start a new run`,
    );
    expect(await refusal(["train", "--resume", "--out", at("cut"), "--warmup", "3"])).toBe(
      `1 error: ${at("cut")} was begun with no --warmup, now it is --warmup 3; resume with the same options, or start a new run`,
    );
    const { code, err } = await cli(["train", "--resume", "--out", at("cut"), "--epochs", "2"]);
    expect(code).toBe(0);
    expect(err).toContain("resumed at step 5");
    expect(readFileSync(at("cut/student.onnx"))).toEqual(readFileSync(at("whole/student.onnx")));
    expect(readFileSync(at("cut/metrics.jsonl"), "utf8")).toBe(
      readFileSync(at("whole/metrics.jsonl"), "utf8"),
    );
    expect(existsSync(at("cut/report.html"))).toBe(true);
  });

  it("goes on with more epochs after its end, and the options of later calls are the new ones", async () => {
    const { at } = world();
    await cli(trainArgs(at, "a", "--epochs", "1"));
    const first = json<{ config: { epochs: number } }>(at("a/run.json"));
    const more = await cli(["train", "--resume", "--out", at("a"), "--epochs", "2"]);
    expect(more.code).toBe(0);
    expect(more.err).toContain("note: goes on to 2 epochs, begun with 1\n");
    expect(more.err).toMatch(
      /note: the learning rate \(cosine\) is that of 2 epochs from step \d+ on: from /,
    );
    const { config, command, continued } = json<{
      config: { epochs: number };
      command: { options: { epochs: number } };
      continued: { epochs: number }[];
    }>(at("a/run.json"));
    expect([first.config.epochs, config.epochs, command.options.epochs]).toEqual([1, 2, 2]);
    expect(continued.map((c) => c.epochs)).toEqual([2]);
    expect(readFileSync(at("a/report.html"), "utf8")).toContain("Goes on to 2 epochs, begun with 1.");
    expect((await cli(["train", "--resume", "--out", at("a")])).code).toBe(0);
  });

  it("refuses to resume with another student under the same name, or where there is no run", async () => {
    const { at } = world();
    await interruptedAt(2, trainArgs(at, "a", "--epochs", "1"));
    writeFileSync(at("student.onnx"), smallModel(2));
    expect(await refusal(["train", "--resume", "--out", at("a")])).toMatch(
      /^1 error: .* was begun with studentSha256 "\w+", now it is "\w+"; resume with the same options, or start a new run$/,
    );
    expect(await refusal(["train", "--resume", "--out", at("b")])).toBe(
      `1 error: ${at("b")} holds no run to resume (no run.json); check the path, or leave --resume out to begin one`,
    );
    writeFileSync(at("a/run.json"), "{");
    expect(await refusal(["train", "--resume", "--out", at("a")])).toBe(
      `1 error: ${at("a/run.json")} cannot be read as JSON; the run folder is damaged: start a new run`,
    );
  });

  it("Ctrl-C saves, exits with 130 and prints the command that continues to the same bytes", async () => {
    const { at } = world();
    const epochs = ["--epochs", "40"];
    await cli(trainArgs(at, "whole", ...epochs));
    const args = trainArgs(at, "cut", ...epochs, "--teacher", at("teacher.onnx"));
    const child = spawn(process.execPath, ["--import", "tsx", "src/cli/main.ts", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (!err.includes("epoch 1/") && (err + text).includes("epoch 1/")) child.kill("SIGINT");
      err += text;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(err).toContain("stopping after this step and saving; once more quits at once\n");
    const told = /saved in (\S+)\. Continue with:\n {2}onnx-distill (train --resume --out \S+)\n$/.exec(err);
    expect(existsSync(`${told?.[1]}/state.bin`)).toBe(true);
    expect((await cli((told?.[2] ?? "").split(" "))).code).toBe(0);
    expect(readFileSync(at("cut/student.onnx"))).toEqual(readFileSync(at("whole/student.onnx")));
  });
});

it("leaves the user's own graph: names, outputs and opset are as they were", async () => {
  const { at } = world();
  await cli(trainArgs(at, "a", "--epochs", "1"));
  const [before, after] = [
    await readModelFile(at("student.onnx")),
    await readModelFile(at("a/student.onnx")),
  ];
  expect(after.outputs).toEqual(before.outputs);
  expect([...after.graph.values()].map((v) => v.name)).toEqual([...before.graph.values()].map((v) => v.name));
  expect(modelBytes(after)).not.toEqual(modelBytes(before));
});
