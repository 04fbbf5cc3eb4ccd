// What `--fix name=value` means, and that a run, an evaluation and an inspection take it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parseFix } from "../../src/cli/fix-option.ts";
import { npzFile } from "../data/files.ts";
import { cli } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "fix-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("--fix", () => {
  it("takes numbers, several of them, and words", () => {
    expect(parseFix(["sr=16000", "scales=0.5,1,-2", "state=zeros", "a=b=ones", "on=true", "m=-inf"])).toEqual(
      {
        sr: 16000,
        scales: [0.5, 1, -2],
        state: "zeros",
        "a=b": "ones",
        on: true,
        m: -Infinity,
      },
    );
    expect(parseFix(undefined)).toBeUndefined();
  });

  it.each(["sr", "=3", "sr=", "sr=fast", "s=1,,2"])("refuses %s", (text) => {
    expect(() => parseFix([text], "--teacher-fix")).toThrow(
      `--teacher-fix ${text}: expected an input and its value, for example sr=16000, scales=0.5,1,0.8 or state=zeros`,
    );
  });

  it("is taken by train (and kept for --resume), eval, inspect and selectivity", async () => {
    const model = fileURLToPath(new URL("../fixtures/call-inputs/model.onnx", import.meta.url));
    const path = join(folder, "data.npz");
    const random = (n: number, k: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * k));
    writeFileSync(
      path,
      npzFile({
        x_train: [random(12 * 15, 1.7), [12, 5, 3]],
        y_train: [random(24, 0.9), [12, 2]],
      }),
    );
    const fix = ["--fix", "sr=8000", "--fix", "scales=1,0.5,2"];
    const data = ["--data", path, "--task", "regression"];
    const out = join(folder, "run");
    const trained = await cli([
      "train",
      "--student",
      model,
      ...data,
      ...fix,
      "--epochs",
      "1",
      "--batch",
      "4",
      "--out",
      out,
    ]);
    expect(trained.err).not.toContain("error");
    expect(trained.code).toBe(0);
    const more = await cli(["train", "--resume", "--out", out, "--epochs", "2"]);
    expect(more.err).toContain('the student\'s input "sr" is 8000 for all samples');
    expect(more.code).toBe(0);
    const other = await cli(["train", "--resume", "--out", out, "--fix", "sr=16000"]);
    expect(other.err).toContain("--fix sr=16000; resume with the same options");
    const evaluated = await cli(["eval", join(out, "student.onnx"), ...data, ...fix, "--json"]);
    expect(evaluated.code).toBe(0);
    const lacking = await cli(["eval", join(out, "student.onnx"), ...data]);
    expect(lacking.err).toContain("--fix scales=<value>");
    const inspected = await cli(["inspect", model, ...fix, "--size", "t=5", "--json"]);
    expect(JSON.parse(inspected.out)).toMatchObject({
      inputs: ["input", "h", "c", "scales", "sr"].map((name) => ({ name })),
      layers: expect.arrayContaining([expect.objectContaining({ op: "LSTM", shape: [5, 1, 2, 4] })]),
    });
    const seen = await cli([
      "selectivity",
      model,
      "--data",
      path,
      ...fix,
      "--tap",
      "/r/Squeeze_output_0",
      "--json",
    ]);
    expect(seen.err).toContain("samples in front");
  });
});
