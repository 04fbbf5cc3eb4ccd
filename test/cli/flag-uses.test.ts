// Every option of a run against compare's rows: it reaches distill(), also without a teacher, or is refused.
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { parseRow } from "../../src/cli/compare-row.ts";
import { type FlagUse, flagUses } from "../../src/cli/flag-uses.ts";
import { openRun, type RunFlags } from "../../src/cli/open-run.ts";
import { addTrainingOptions } from "../../src/cli/train-command.ts";
import { asTyped, flagOf, type TrainFlags } from "../../src/cli/train-options.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { DistillOptions } from "../../src/train/options.ts";
import { cli, refusal, world } from "./helpers.ts";

type Key = keyof Required<TrainFlags>;

/** How each option is typed, none as it is by default. Options of where a run goes are no row's. */
const typed: { readonly [K in Key]: string | undefined } = {
  student: "--student student.onnx",
  studentLogits: "--student-logits features",
  teacher: "--teacher teacher.onnx",
  teacherLogits: "--teacher-logits late",
  classMap: "--class-map 2,0",
  projectOutputs: "--project-outputs",
  studentGives: "--student-gives probabilities",
  teacherGives: "--teacher-gives log-probabilities",
  classAxis: "--class-axis 1",
  batchAxis: "--batch-axis 0",
  fix: "--fix sr=16000",
  studentFix: "--student-fix sr=16000",
  teacherFix: "--teacher-fix sr=8000",
  task: "--task regression",
  ignoreIndex: "--task segmentation --ignore-index 255",
  huberDelta: "--task regression --huber-delta 2",
  blankIndex: "--task ctc --blank-index 3",
  data: "--data data.npz",
  mean: "--mean 0.5",
  std: "--std 0.25",
  evalData: "--eval-data other.npz",
  flip: "--flip",
  crop: "--crop 2",
  variants: "--crop 2 --variants 3",
  loss: "--loss dkd",
  strategy: "--strategy own.mjs",
  tap: "--tap features",
  project: "--tap features --project features",
  intermediate: "--intermediate cka",
  metric: "--metric sparsity",
  over: "--over samples",
  match: "--match rank",
  target: "--target dataset",
  distance: "--distance relative",
  selectivityMomentum: "--selectivity-momentum 0.5",
  selectivityWeight: "--selectivity-weight 2",
  temperature: "--temperature 7",
  alpha: "--alpha 0.9",
  epochs: "--epochs 3",
  batch: "--batch 16",
  optimizer: "--optimizer adamw",
  lr: "--lr 0.5",
  schedule: "--schedule constant",
  warmup: "--warmup 5",
  momentum: "--momentum 0.5",
  nesterov: "--no-nesterov",
  weightDecay: "--weight-decay 0.5",
  noDecay: "--no-decay",
  weightDecayFor: "--weight-decay-for head*=0.5",
  lrFor: "--lr-for head*=0.5x",
  clipNorm: "--clip-norm 2",
  accumulate: "--accumulate 2",
  averageWeights: "--average-weights 0.9",
  patience: "--patience 2",
  minDelta: "--min-delta 0.1",
  classWeights: "--class-weights 1,2",
  freeze: "--freeze conv*",
  train: "--train conv*",
  untie: "--untie conv*",
  paddingRow: "--padding-row embed*=0",
  init: "--init kaiming",
  insertBatchnorm: "--insert-batchnorm",
  batchNorm: "--batch-norm frozen",
  keep: "--keep last",
  seed: "--seed 3",
  threads: "--threads 1",
  teacherCache: "--teacher-cache off",
  teacherCacheType: "--teacher-cache-type float16",
  out: undefined,
  resume: undefined,
  checkpointEvery: undefined,
  logEvery: undefined,
  monitor: undefined,
  json: undefined,
  decay: undefined,
};

/** The flag that leads to each option of distill(); otherwise why there is none. */
const flagFor: { readonly [K in keyof Required<DistillOptions>]: Key | { readonly why: string } } = {
  teacher: "teacher",
  student: "student",
  data: "data",
  evaluation: "evalData",
  strategy: "loss",
  taps: "tap",
  task: "task",
  ignoreIndex: "ignoreIndex",
  huberDelta: "huberDelta",
  blankIndex: "blankIndex",
  optimizer: "optimizer",
  learningRate: "lr",
  schedule: "schedule",
  clipNorm: "clipNorm",
  accumulate: "accumulate",
  averageWeights: "averageWeights",
  patience: "patience",
  minDelta: "minDelta",
  classWeights: "classWeights",
  noDecay: "noDecay",
  parameterGroups: "lrFor",
  freeze: "freeze",
  train: "train",
  untie: "untie",
  paddingRows: "paddingRow",
  init: "init",
  insertBatchNorm: "insertBatchnorm",
  batchNorm: "batchNorm",
  epochs: "epochs",
  batch: "batch",
  seed: "seed",
  augment: "flip",
  studentLogits: "studentLogits",
  teacherLogits: "teacherLogits",
  classMap: "classMap",
  projectOutputs: "projectOutputs",
  studentGives: "studentGives",
  teacherGives: "teacherGives",
  classAxis: "classAxis",
  batchAxis: "batchAxis",
  fix: "fix",
  studentFix: "studentFix",
  teacherFix: "teacherFix",
  keep: "keep",
  teacherCache: "teacherCache",
  teacherCacheType: "teacherCacheType",
  runtime: "threads",
  monitor: { why: "shared by the rows: what is compared" },
  out: { why: "compare's own" },
  resume: { why: "compare's own" },
  signal: { why: "compare's own" },
  teacherOutputs: { why: "compare's own" },
  checkpointEvery: { why: "changes nothing of what a run computes" },
  logEvery: { why: "changes nothing of what a run computes" },
  teacherCacheBytes: { why: "no flag" },
  worker: { why: "no flag" },
  target: { why: "no flag" },
};

const keysOf = (...uses: FlagUse[]): Key[] =>
  (Object.keys(flagUses) as Key[]).filter((key) => uses.includes(flagUses[key]));

/** The words of an option as they are typed for all rows. */
function shared(words: string): TrainFlags {
  const command = addedTo(new Command());
  command.parse(words.split(" ").filter(Boolean), { from: "user" });
  return asTyped(command.opts<TrainFlags>());
}

function addedTo(command: Command): Command {
  addTrainingOptions(command);
  return command;
}

describe("options of compare's rows", () => {
  it("are those that say what a run computes, each classified", () => {
    const known = addedTo(new Command())
      .options.map((o) => o.attributeName().replace(/^decay$/, "noDecay"))
      .sort();
    expect(known).toEqual(keysOf("training", "teacher").sort());
  });

  it.each(keysOf("training"))("%s counts without a teacher, typed for all rows or for one", (key) => {
    const words = typed[key] as string;
    const value = parseRow(`a: ${words}`, {}).flags[key];
    expect(value).not.toBe(undefined);
    expect(parseRow(`a: --no-teacher ${words}`, { teacher: "t.onnx", alpha: 0.5 }).flags[key]).toEqual(value);
    expect(parseRow("a: --no-teacher", { teacher: "t.onnx", ...shared(words) }).flags[key]).toEqual(value);
  });

  it.each(keysOf("teacher").filter((key) => key !== "teacher"))(
    "%s is left out without a teacher where all rows have it, and refused where the row itself does",
    (key) => {
      const words = typed[key] as string;
      const all = { teacher: "t.onnx", ...shared(words) };
      expect(parseRow("a:", all).flags[key]).not.toBe(undefined);
      expect(parseRow("a: --no-teacher", all).flags).toEqual({});
      // Of two that are needed together the first is named.
      const first = flagOf(keysOf("teacher").find((k) => all[k] !== undefined && k !== "teacher") as string);
      expect(() => parseRow(`a: --no-teacher ${words}`, {})).toThrow(`--row 'a': ${first} needs a teacher`);
      expect(() => parseRow("a:", shared(words))).toThrow(
        `--row 'a': ${first} needs a teacher, or --no-teacher in the row`,
      );
    },
  );

  it("reach distill(): every one of its options changes with its flag", async () => {
    const { at } = world();
    const data = arrayDataset({
      inputs: [{ dims: [1, 1, 8, 8], dtype: "float32", data: new Float32Array(64) }],
    });
    const base = { student: at("student.onnx"), data: "data.npz" };
    const opened = async (flags: TrainFlags): Promise<DistillOptions> =>
      (
        await openRun({ ...base, ...flags } as RunFlags, async ({ evalData, ...f }) => ({
          data: Object.assign(Object.create(data), { path: f.data }),
          evaluation: Object.assign(Object.create(data), { path: evalData }),
        }))
      ).options;
    for (const [option, key] of Object.entries(flagFor) as [keyof DistillOptions, Key | object][]) {
      if (typeof key === "object") continue;
      const teacher = key !== "teacher" && flagUses[key] === "teacher" ? { teacher: at("teacher.onnx") } : {};
      const words = (typed[key] as string)
        .replace(/(teacher|student)\.onnx/, (file) => at(file === "student.onnx" ? "teacher.onnx" : file))
        .replace("data.npz", "more.npz");
      const without = (await opened(teacher))[option];
      const given = (await opened({ ...teacher, ...shared(words) }))[option];
      if (option === "runtime") expect(given).not.toBe(without);
      else expect(given, option).not.toEqual(without);
    }
  });
});

describe("compare", () => {
  it("refuses what a row contradicts, in one line, before anything is trained", async () => {
    const { at } = world();
    const said = async (...more: string[]) =>
      await refusal([
        ...[
          "compare",
          "--student",
          at("student.onnx"),
          "--teacher",
          "teacher.onnx",
          "--data",
          at("data.npz"),
        ],
        ...["--out", at("out"), ...more],
      ]);
    expect(await said("--row", "labels: --no-teacher --temperature 4")).toBe(
      "2 error: --row 'labels': --temperature needs a teacher",
    );
    expect(await said("--row", "labels: --no-teacher --teacher other.onnx")).toBe(
      "2 error: --row 'labels': --no-teacher and --teacher other.onnx contradict each other; give one of them",
    );
    expect(await said("--row", "a: --seed 5")).toBe(
      '2 error: row "a" has --seed 5, but all rows run from the same seeds; say which with --first-seed and --seeds',
    );
  });

  it("runs a row without a teacher with the options that all rows share", async () => {
    const { at } = world();
    const { code } = await cli([
      ...[
        "compare",
        "--student",
        at("student.onnx"),
        "--teacher",
        at("teacher.onnx"),
        "--data",
        at("data.npz"),
      ],
      ...[
        "--mean",
        "0.5",
        "--std",
        "0.25",
        "--batch",
        "32",
        "--epochs",
        "1",
        "--seeds",
        "1",
        "--out",
        at("out"),
      ],
      ...["--keep", "last", "--alpha", "0.4", "--row", "KD:", "--row", "labels: --no-teacher"],
    ]);
    expect(code).toBe(0);
    const { readFileSync } = await import("node:fs");
    const config = JSON.parse(readFileSync(at("out/runs/labels/seed-0/run.json"), "utf8")).config;
    expect(config).toMatchObject({ keep: "last", teacher: null });
  });
});
