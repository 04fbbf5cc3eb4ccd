// The room as a whole: what it exports, what it imports, and that the examples in its docstrings run.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { transpileModule } from "typescript";
import { describe, expect, it } from "vitest";
import * as api from "../../src/strategies/index.ts";

const root = fileURLToPath(new URL("../../src/strategies/", import.meta.url));

it("exports the public names", () => {
  expect(Object.keys(api).sort()).toEqual([
    "ACTIVITY_THRESHOLD",
    "AttentionTransferStrategy",
    "CONSTANT_RATIO",
    "CenteredKernelAlignmentStrategy",
    "ChannelStatisticsStrategy",
    "CombinedDistillationStrategy",
    "CorrelationDistillationStrategy",
    "DEAD_ATTENTION",
    "DEAD_NEURON_MEAN",
    "DEAD_NORM",
    "DEAD_SIMILARITY",
    "DecoupledDistillationStrategy",
    "DistillError",
    "DistillationStrategyBase",
    "Divergence",
    "HintStrategy",
    "IntermediateActivations",
    "LEAST_BANDWIDTH_SQUARED",
    "LayerStrategyBase",
    "Matrix",
    "MultiLabelDistillationStrategy",
    "NeuronCorrelationStrategy",
    "NeuronSelectivityDistillationStrategy",
    "NeuronSelectivityTransferStrategy",
    "RELATIVE_STEEPNESS",
    "RELATIVE_THRESHOLD",
    "RESPONSE_FLOOR",
    "RegressionDistillationStrategy",
    "ResponseCorrelation",
    "ResponseDistillationStrategy",
    "SURROGATE_STEEPNESS",
    "SelectivityAccumulator",
    "SelectivityMetric",
    "SimilarityPreservingStrategy",
    "TransformedTeacherDistillationStrategy",
    "checkGradients",
    "peakToAverageScores",
    "selectivityScores",
    "sparsityScores",
    "varianceScores",
  ]);
  const m = api.Matrix.fromRows([[1], [2], [3]]);
  expect(api.varianceScores(m)).toEqual(api.selectivityScores(m, "variance"));
  expect(api.sparsityScores(m)).toEqual(api.selectivityScores(m, "sparsity"));
  expect(api.peakToAverageScores(m)).toEqual(api.selectivityScores(m, "peak-to-average"));
});

it("loads neither ONNX Runtime nor protobuf, nor any other room but base", () => {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const walk = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    // Every static or dynamic import and re-export, types included.
    for (const [, from] of readFileSync(file, "utf8").matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      if (from === "onnx-distill") continue; // an example in a docstring
      if (from!.startsWith(".")) walk(resolve(dirname(file), from!));
      else packages.add(from!);
    }
  };
  walk(resolve(root, "index.ts"));
  expect(seen.size).toBeGreaterThan(10);
  expect([...packages].sort()).toEqual(["fastest-levenshtein", "munkres"]);
  expect([...seen].filter((f) => !/\/src\/(strategies|base)\//.test(f))).toEqual([]);
});

describe("examples in docstrings", () => {
  const files = (readdirSync(root, { recursive: true }) as string[]).filter((f) => f.endsWith(".ts")).sort();
  const examples = files.flatMap((file) =>
    [...readFileSync(resolve(root, file), "utf8").matchAll(/ \* ```ts\n([\s\S]*?) \* ```/g)].map(
      ([, code], i) => ({ file, i, code: code!.replace(/^\s*\* ?/gm, "") }),
    ),
  );

  it("are there", () => expect(examples.length).toBeGreaterThanOrEqual(6));

  it.each(examples)("$file, $i", ({ code }) => {
    let promised = 0;
    const body = code
      .replace(/import \{([^}]*)\} from "onnx-distill";/, (_, names: string) => {
        const values = names.split(",").filter((n) => !n.trim().startsWith("type "));
        return `const {${values.join(",")}} = api;`;
      })
      .replace(/^(.+); \/\/ => (.+)$/gm, (_, expression: string, value: string) => {
        promised++;
        return `expect(${expression}).toEqual(${value});`;
      });
    expect(promised).toBeGreaterThan(0);
    const { outputText } = transpileModule(body, { compilerOptions: { target: 9 } });
    new Function("api", "expect", outputText)(api, expect);
  });
});
