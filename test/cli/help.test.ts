import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cli, refusal } from "./helpers.ts";

describe("help", () => {
  it.each(["", "train", "eval", "inspect", "selectivity", "demo"])("of %s", async (command) => {
    const { code, out, err } = await cli([...(command ? [command] : []), "--help"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatchSnapshot();
  });

  it("is what a call without arguments gets, as an error", async () => {
    const { code, out, err } = await cli([]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain("Usage: onnx-distill [options] [command]");
  });

  it("tells the version of package.json", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(await cli(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });
});

describe("a wrong call is one line", () => {
  it.each([
    [["train", "--epoch", "3"], "2 error: unknown option '--epoch'. Did you mean --epochs?"],
    [["trian"], "2 error: unknown command 'trian'. Did you mean train?"],
    [["eval"], "2 error: missing required argument 'model'"],
    [["eval", "a.onnx", "b.onnx"], "2 error: too many arguments for 'eval'. Expected 1 argument but got 2."],
    [["eval", "a.onnx"], "2 error: eval needs --data"],
    [
      ["train", "--epochs", "2.5"],
      "2 error: option '--epochs <n>' argument '2.5' is invalid. Expected a whole number from 1 on.",
    ],
    [
      ["train", "--alpha", "1.5"],
      "2 error: option '--alpha <x>' argument '1.5' is invalid. Expected a number from 0 to 1.",
    ],
    [
      ["train", "--temperature", "0"],
      "2 error: option '--temperature <x>' argument '0' is invalid. Expected a number above 0.",
    ],
    [
      ["train", "--lr", ""],
      "2 error: option '--lr <x>' argument '' is invalid. Expected a number from 0 on.",
    ],
    [
      ["train", "--mean", "0.1,x"],
      "2 error: option '--mean <numbers>' argument '0.1,x' is invalid. Expected a number, or one per channel with commas between them.",
    ],
    [
      ["train", "--optimizer", "adam"],
      "2 error: option '--optimizer <name>' argument 'adam' is invalid. Allowed choices are sgd, adamw. Did you mean \"adamw\"?",
    ],
    [
      ["train", "--metric", "lifetime-sparsness"],
      "2 error: option '--metric <metric>' argument 'lifetime-sparsness' is invalid. Allowed choices are variance, sparsity, peak-to-average, relative-deviation, log-variance, relative-sparsity, lifetime-sparseness, population-sparseness, kurtosis, soft-peak, class-selectivity, class-response. Did you mean \"lifetime-sparseness\"?",
    ],
    [
      ["train", "--over", "sample"],
      "2 error: option '--over <samples>' argument 'sample' is invalid. Allowed choices are samples-and-positions, samples, positions. Did you mean \"samples\" or \"samples-and-positions\"?",
    ],
    [
      ["train", "--selectivity-momentum", "1"],
      "2 error: option '--selectivity-momentum <x>' argument '1' is invalid. Expected a number from 0 to less than 1.",
    ],
    [
      ["inspect", "m.onnx", "--size", "height"],
      "2 error: option '--size <name=n>' argument 'height' is invalid. Expected a dimension's name and its size, for example height=64.",
    ],
    [
      ["train", "--out", "a"],
      "2 error: train needs --student and --data; or continue a run with --resume --out <folder>",
    ],
    [
      ["train", "--student", "s", "--data", "d", "--out", "a", "--alpha", "0.5"],
      "2 error: --alpha needs a --teacher",
    ],
    [
      ["train", "--student", "s", "--data", "d", "--out", "a", "--metric", "variance"],
      "2 error: --metric needs a --teacher",
    ],
    [
      ["train", "--student", "s", "--data", "d", "--out", "a", "--optimizer", "adamw", "--no-nesterov"],
      "2 error: --no-nesterov belongs to sgd, not to --optimizer adamw",
    ],
  ])("%j", async (args, line) => {
    expect(await refusal(args)).toBe(line);
  });

  it("tells stack and causes only with --debug, before or after the command", async () => {
    expect(await refusal(["inspect", "no-such.onnx"])).toBe("1 error: no-such.onnx: no such file");
    for (const args of [
      ["--debug", "inspect", "no-such.onnx"],
      ["inspect", "no-such.onnx", "--debug"],
    ]) {
      const { code, err } = await cli(args);
      expect(code).toBe(1);
      expect(err).toMatch(
        /^error: no-such\.onnx: no such file\nDistillError: [\s\S]*\ncaused by: Error: ENOENT/,
      );
    }
  });
});

describe("start-up", () => {
  it("loads nothing that runs, reads or draws models", () => {
    const seen = new Set<string>();
    const packages = new Set<string>();
    const follow = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const source = readFileSync(file, "utf8");
      for (const [, clause, from] of source.matchAll(/^(?:im|ex)port ([^;]*?) ?from "([^"]+)";$/gm)) {
        if (clause?.startsWith("type ")) continue;
        if (from?.startsWith(".")) follow(resolve(dirname(file), from));
        else packages.add(from as string);
      }
    };
    follow(resolve("src/cli/main.ts"));
    expect(seen.size).toBeGreaterThan(8);
    expect([...seen].filter((f) => /src\/(onnx|runtime|report|compile|autodiff|nn)\//.test(f))).toEqual([]);
    expect([...packages].sort()).toEqual(["commander", "fastest-levenshtein", "node:fs"]);
  });
});
