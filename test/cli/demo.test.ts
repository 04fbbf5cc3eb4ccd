import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { demoCommand } from "../../src/cli/demo.ts";
import { type DemoRecipe, demoRecipe } from "../../src/cli/demo-recipe.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { idxFile } from "../data/files.ts";
import { bands, cli, smallModel, world } from "./helpers.ts";

/** The demo in small. */
function small(at: (name: string) => string): DemoRecipe {
  mkdirSync(at("data"));
  for (const [part, n, seed] of [
    ["train", 256, 1],
    ["t10k", 96, 2],
  ] as const) {
    const { images, labels } = bands(n, seed);
    writeFileSync(at(`data/${part}-images-idx3-ubyte`), idxFile([n, 8, 8], [...images]));
    writeFileSync(at(`data/${part}-labels-idx1-ubyte`), idxFile([n], [...labels]));
  }
  return {
    ...demoRecipe,
    data: at("data"),
    teacher: at("teacher.onnx"),
    student: (seed) => readModel(smallModel(seed), { source: "student" }),
    aligned: { name: "middle", teacher: "late", student: "late" },
    batch: 32,
    epochs: 2,
  };
}

async function demo(flags: Parameters<typeof demoCommand>[0], recipe: DemoRecipe, signal?: AbortSignal) {
  let [out, err] = ["", ""];
  const io = {
    stdout: { write: (text: string) => void (out += text) },
    stderr: { write: (text: string) => void (err += text) },
    signal,
  };
  const code = await demoCommand(flags, io, recipe);
  return { code, out, err };
}

describe("demo", () => {
  it("trains twice from the same weights, and shows both beside the teacher", async () => {
    const { at } = world();
    const recipe = small(at);
    const { code, out, err } = await demo({ out: at("demo") }, recipe);
    expect(code).toBe(0);
    expect(err).toContain("student, labels alone: 542 parameters; 2 epochs of 8 steps");
    expect(err).toContain("student, distilled, epoch 2/2: top-1");
    expect(out).toMatch(
      /^\n +labels alone +distilled +teacher\ntop-1 accuracy +[\d.]+ % +[\d.]+ % +[\d.]+ %\n/,
    );
    expect(out).toMatch(/\nparameters +542 +542 +878\n/);
    expect(out.endsWith(`\n${at("demo/student.onnx")}\n${at("demo/report.html")}\n`)).toBe(true);
    expect(readdirSync(at("demo")).sort()).toEqual([
      "demo.json",
      "distilled",
      "labels-only",
      "report.html",
      "student.onnx",
    ]);
    expect(readFileSync(at("demo/student.onnx"))).toEqual(readFileSync(at("demo/distilled/student.onnx")));
    const config = (way: string) => JSON.parse(readFileSync(at(`demo/${way}/run.json`), "utf8")).config;
    const [labels, distilled] = [config("labels-only"), config("distilled")];
    const differ = Object.keys(distilled).filter(
      (key) => JSON.stringify(distilled[key]) !== JSON.stringify(labels[key]),
    );
    expect(differ.sort()).toEqual(["prepared", "strategy", "taps", "teacher", "teacherCacheBytes"]);
    const log = readFileSync(at("demo/distilled/metrics.jsonl"), "utf8").trim().split("\n");
    const { losses } = log.map((line) => JSON.parse(line)).find((entry) => entry.type === "step");
    expect(Object.keys(losses).sort()).toEqual([
      "loss",
      "loss/cka/middle",
      "loss/hard",
      "loss/selectivity/features",
      "loss/soft",
    ]);
    const { final } = JSON.parse(readFileSync(at("demo/demo.json"), "utf8"));
    expect(final.models.map((m: { label: string }) => m.label)).toEqual([
      "teacher",
      "student, labels alone",
      "student, distilled",
    ]);
    expect(final.selectivity[0].labelsOnly).toHaveLength(6);
    // Again into the same folder: refused, unless forced; then nothing but the demo's own files goes.
    await expect(demo({ out: at("demo") }, recipe)).rejects.toThrow(
      `${at("demo")} holds a demo already; begin anew with --force, or choose another --out`,
    );
    writeFileSync(at("demo/mine.txt"), "kept");
    expect((await demo({ out: at("demo"), force: true, epochs: 1 }, recipe)).code).toBe(0);
    expect(readFileSync(at("demo/mine.txt"), "utf8")).toBe("kept");
  });

  it("gives mean and deviation over several seeds", async () => {
    const { at } = world();
    const { out } = await demo({ out: at("demo"), seeds: 2, epochs: 1, json: true }, small(at));
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect([...new Set(lines.map((l) => l.run))]).toEqual([
      "student, labels alone, seed 0",
      "student, distilled, seed 0",
      "student, labels alone, seed 1",
      "student, distilled, seed 1",
      undefined,
    ]);
    const last = lines.at(-1);
    expect(last).toMatchObject({ type: "comparison", seeds: 2 });
    for (const [way, label] of [
      ["labels", "student, labels alone"],
      ["distilled", "student, distilled"],
    ] as const) {
      const evaluations = lines.filter((l) => l.type === "evaluation" && l.who === "student");
      const top1 = [0, 1].map(
        (seed) => evaluations.find((l) => l.run === `${label}, seed ${seed}`).metrics.top1,
      );
      expect(last.scores[way].top1).toEqual(top1);
    }
  });

  it("stopped, says how to begin anew", async () => {
    const { at } = world();
    const { code, err } = await demo({ out: at("demo") }, small(at), AbortSignal.abort());
    expect(code).toBe(130);
    expect(err).toContain(`Begin it anew with:\n  onnx-distill demo --force --out ${at("demo")}\n`);
  });

  it("help tells the epochs of the recipe", async () => {
    expect((await cli(["demo", "--help"])).out).toContain(`(default: ${demoRecipe.epochs})`);
  });
});
