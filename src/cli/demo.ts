// `onnx-distill demo`: the same student, from the same weights and in the same order, once from labels alone and once
// distilled; then both beside their teacher, as a table and as a report.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatPercent,
} from "../base/format.ts";
import type { Dataset } from "../data/dataset.ts";
import { openDataset } from "../data/open-dataset.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { readModelFile } from "../onnx/read-model-file.ts";
import type { ModelRow, ReportData } from "../report/data.ts";
import type { Runtime } from "../runtime/session.ts";
import { distill } from "../train/distill.ts";
import { evaluateModel } from "../train/evaluate-model.ts";
import type { DistillOptions } from "../train/options.ts";
import { RunFolder, writeWhole } from "../train/run-folder.ts";
import { type DemoRecipe, demoRecipe, demoStrategy } from "./demo-recipe.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { type DoneEvent, followRun, jsonLine } from "./print-run.ts";
import { runtimeFor } from "./runtime-for.ts";
import { stopOnSignals } from "./stop-signals.ts";
import { table } from "./table.ts";
import { quoted } from "./train-options.ts";

export interface DemoFlags {
  seeds?: number;
  epochs?: number;
  out?: string;
  force?: boolean;
  threads?: number;
  json?: boolean;
}

const ways = [
  { training: "labels", folder: "labels-only", label: "student, labels alone" },
  { training: "distilled", folder: "distilled", label: "student, distilled" },
] as const;
type Way = (typeof ways)[number];
/** By a way's training. */
type Both<T> = Record<Way["training"], T>;

export async function demoCommand(flags: DemoFlags, io: CliIo, recipe = demoRecipe): Promise<number> {
  const out = flags.out ?? join("runs", "demo");
  const seeds = Array.from({ length: flags.seeds ?? 1 }, (_, seed) => seed);
  const epochs = flags.epochs ?? recipe.epochs;
  makeRoom(out, flags.force === true);
  const runtime = runtimeFor(flags.threads);
  const scaling = { mean: recipe.mean, std: recipe.std };
  const teacher = await readModelFile(recipe.teacher);
  const data = await openDataset(recipe.data, { split: "train", ...scaling });
  const evaluation = await openDataset(recipe.data, { split: "test", ...scaling });
  const json = flags.json === true;
  const stopper = stopOnSignals(io.signal);
  const context: Context = { recipe, runtime, teacher, data, evaluation, epochs };
  try {
    const results: Both<DoneEvent>[] = [];
    for (const seed of seeds) {
      const done: Partial<Both<DoneEvent>> = {};
      for (const way of ways) {
        const label = seeds.length > 1 ? `${way.label}, seed ${seed}` : way.label;
        if (!json && results.length + Object.keys(done).length > 0) io.stderr.write("\n");
        const events = distill({
          ...optionsFor(way, seed, context),
          out: folderOf(out, way, seed),
          signal: stopper.signal,
        });
        const followed = await followRun(events, { io, json, label, brief: true, signal: stopper.signal });
        if (followed.done.interrupted) return stopped(io, flags);
        done[way.training] = followed.done;
      }
      results.push(done as Both<DoneEvent>);
    }
    return await compare(out, flags, io, results, context);
  } finally {
    stopper.dispose();
  }
}

interface Context {
  readonly recipe: DemoRecipe;
  readonly runtime: Runtime;
  readonly teacher: Model;
  readonly data: Dataset;
  readonly evaluation: Dataset;
  readonly epochs: number;
}

/** Both ways differ in the teacher alone. */
function optionsFor(way: Way, seed: number, c: Context): DistillOptions {
  const { recipe } = c;
  const shared: DistillOptions = {
    student: recipe.student(seed),
    data: c.data,
    evaluation: c.evaluation,
    epochs: c.epochs,
    batch: recipe.batch,
    seed,
    learningRate: recipe.learningRate,
    optimizer: { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: recipe.weightDecay },
    runtime: c.runtime,
  };
  if (way.training === "labels") return shared;
  return {
    ...shared,
    teacher: recipe.teacher,
    taps: [{ name: recipe.tap, teacher: recipe.tap, student: recipe.tap }, recipe.aligned],
    strategy: demoStrategy(recipe),
    teacherCacheBytes: recipe.teacherCacheBytes,
  };
}

const folderOf = (out: string, way: Way, seed: number): string =>
  join(out, seed === 0 ? way.folder : `${way.folder}-${seed}`);

const own = /^((labels-only|distilled)(-\d+)?|student\.onnx|report\.html|demo\.json)$/;

/** Refuses a folder with a demo in it, or, forced, takes away what a demo writes and nothing else. */
function makeRoom(out: string, force: boolean): void {
  const mine = (name: string): boolean => own.test(name);
  if (force) RunFolder.clear(out, mine);
  else if (existsSync(out) && statSync(out).isDirectory() && readdirSync(out).some(mine))
    throw new DistillError(
      "E_RUN",
      `${out} holds a demo already; begin anew with --force, or choose another --out`,
    );
}

function stopped(io: CliIo, flags: DemoFlags): number {
  const out = flags.out === undefined ? "" : ` --out ${quoted(flags.out)}`;
  if (!flags.json)
    io.stderr.write(`the demo was stopped. Begin it anew with:\n  onnx-distill demo --force${out}\n`);
  return exitCodes.interrupted;
}

async function compare(
  out: string,
  flags: DemoFlags,
  io: CliIo,
  results: readonly Both<DoneEvent>[],
  c: Context,
): Promise<number> {
  const { runReport } = await import("../report/run-report.ts");
  const { renderReport } = await import("../report/render-report.ts");
  const { recipe } = c;
  const [first] = results as readonly [Both<DoneEvent>];
  const { student, data: _data, teacher: _teacher, ...numbers } = recipe;
  const { data, final } = await runReport({
    title: "Fashion-MNIST: one student, from labels alone and distilled",
    command: commandOf(flags),
    config: { ...numbers, epochs: c.epochs, seeds: results.length },
    models: [
      { role: "teacher", label: "teacher", model: c.teacher },
      ...ways.map((way) => ({
        role: "student" as const,
        label: way.label,
        training: way.training,
        model: readModel(first[way.training].student, { source: way.label }),
        folder: folderOf(out, way, 0),
        seconds: first[way.training].seconds,
      })),
    ],
    before: student(0),
    taps: [{ name: recipe.tap, teacher: recipe.tap, student: recipe.tap }],
    data: c.data,
    evaluation: c.evaluation,
    evaluationName: "Fashion-MNIST, test images of the subset",
    batch: recipe.batch,
    runtime: c.runtime,
  });
  const rows = final.models as [ModelRow, ModelRow, ModelRow];
  const scores = await scoresOf(results, rows, c);
  const notes = results.length > 1 ? [seedNote(scores)] : [];
  const files = { student: join(out, "student.onnx"), report: join(out, "report.html") };
  const report: ReportData = notes.length > 0 ? { ...data, notes } : data;
  writeWhole(files.student, first.distilled.student);
  writeWhole(files.report, renderReport(report));
  const seconds = results.flatMap((r) => ways.map((w) => r[w.training].seconds)).reduce((a, b) => a + b, 0);
  const summary = { type: "comparison", seconds, seeds: results.length, scores, final, ...files };
  writeWhole(join(out, "demo.json"), `${JSON.stringify(summary, null, 2)}\n`);
  if (flags.json) {
    const { final: _final, ...short } = summary;
    io.stdout.write(jsonLine({ ...short, models: rows }));
  } else
    io.stdout.write(
      `\n${comparison(rows, scores)}\ntrained for ${formatDuration(seconds)}\n${files.student}\n${files.report}\n`,
    );
  return exitCodes.ok;
}

interface Scores {
  readonly top1: readonly number[];
  readonly agreement: readonly number[];
}

/** Accuracy and agreement of each seed's student; the first seed's were measured for the report. */
async function scoresOf(
  results: readonly Both<DoneEvent>[],
  [, labels, distilled]: readonly [ModelRow, ModelRow, ModelRow],
  c: Context,
): Promise<Both<Scores>> {
  const scores = {
    labels: { top1: [labels.metrics.top1 ?? 0], agreement: [labels.metrics.agreement ?? 0] },
    distilled: { top1: [distilled.metrics.top1 ?? 0], agreement: [distilled.metrics.agreement ?? 0] },
  };
  if (results.length === 1) return scores;
  const { runtime } = c;
  const taught = await evaluateModel(c.teacher, c.evaluation, { runtime });
  for (const result of results.slice(1))
    for (const { training } of ways) {
      const model = readModel(result[training].student, { source: training });
      const { metrics } = await evaluateModel(model, c.evaluation, { runtime, teacher: taught.predictions });
      scores[training].top1.push(metrics.top1 ?? 0);
      scores[training].agreement.push(metrics.agreement ?? 0);
    }
  return scores;
}

function comparison(rows: readonly [ModelRow, ModelRow, ModelRow], scores: Both<Scores>): string {
  const [teacher, labels, distilled] = rows;
  const cells = (show: (m: ModelRow) => string) => [show(labels), show(distilled), show(teacher)];
  return table(
    [
      ["", "labels alone", "distilled", "teacher"],
      [
        "top-1 accuracy",
        shares(scores.labels.top1),
        shares(scores.distilled.top1),
        formatPercent(teacher.metrics.top1, 2),
      ],
      ["agreement with the teacher", shares(scores.labels.agreement), shares(scores.distilled.agreement), ""],
      ["parameters", ...cells((m) => formatCount(m.parameters))],
      ["size", ...cells((m) => formatBytes(m.bytes))],
      ["time per sample", ...cells((m) => formatMilliseconds(m.msPerSample))],
    ],
    [1, 2, 3],
    "",
  );
}

/** `87.42 %`, or mean and sample standard deviation over the seeds: `87.42 ± 0.21 %`. */
function shares(values: readonly number[]): string {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length === 1) return formatPercent(mean, 2);
  const deviation = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / (values.length - 1));
  return `${(mean * 100).toFixed(2)} ± ${formatPercent(deviation, 2)}`;
}

function seedNote(scores: Both<Scores>): string {
  const { labels, distilled } = scores;
  return `Over ${labels.top1.length} seeds (mean ± standard deviation) top-1 accuracy is ${shares(labels.top1)} from labels alone and ${shares(distilled.top1)} distilled; the charts show the first seed.`;
}

function commandOf(flags: DemoFlags): string {
  const words = [
    flags.seeds !== undefined && `--seeds ${flags.seeds}`,
    flags.epochs !== undefined && `--epochs ${flags.epochs}`,
    flags.out !== undefined && `--out ${quoted(flags.out)}`,
  ];
  return ["onnx-distill demo", ...words.filter((w) => w !== false)].join(" ");
}
