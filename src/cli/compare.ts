// `onnx-distill compare`: rows × seeds of runs, each in a folder of its own, and what they show.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import { formatDuration } from "../base/format.ts";
import { type Comparison, compareRows, type RowResult } from "../compare/comparison.ts";
import {
  comparisonCells,
  comparisonHeads,
  comparisonMarkdown,
  type Figures,
  signed,
} from "../compare/comparison-table.ts";
import { readModel } from "../onnx/read-model.ts";
import { type MetricKey, metricSpecs } from "../tasks/metrics.ts";
import { distill } from "../train/distill.ts";
import { evaluateModel } from "../train/evaluate-model.ts";
import { teacherFixOf } from "../train/fit-models.ts";
import { askedOf } from "../train/output-options.ts";
import { writeWhole } from "../train/run-folder.ts";
import { SharedTeacherOutputs } from "../train/shared-teacher-outputs.ts";
import type { CompareFlags } from "./compare-command.ts";
import { parseRow, type Row } from "./compare-row.ts";
import { ComparisonData } from "./comparison-data.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { openRun, type RunFlags } from "./open-run.ts";
import { followRun, jsonLine } from "./print-run.ts";
import { stopOnSignals } from "./stop-signals.ts";
import { table } from "./table.ts";
import { taskOf } from "./task-flags.ts";
import { asTyped, quoted, spell, type TrainFlags } from "./train-options.ts";

/** What compare.json keeps of the call: a comparison that goes on must agree with it, but for more rows and seeds. */
interface Kept {
  readonly format: 1;
  readonly validation: number;
  readonly monitor?: string | undefined;
  readonly rows: readonly Row[];
}

export async function compareCommand(typed: CompareFlags, io: CliIo): Promise<number> {
  const {
    row: texts,
    seeds = 5,
    firstSeed = 0,
    validation = 0.1,
    out,
    resume,
    json,
    monitor,
    ...shared
  } = typed;
  const rows = rowsOf(texts, asTyped(shared));
  if (out === undefined)
    throw new DistillError("E_OPTION", "compare needs --out, the folder that everything is written into");
  const { rows: known } = keep(out, { format: 1, validation, monitor, rows }, resume === true);
  const stopper = stopOnSignals(io.signal);
  const data = new ComparisonData(validation);
  const teacherOutputs = new SharedTeacherOutputs({ folder: out });
  const results: RowResult[] = [];
  let metric: MetricKey | undefined;
  try {
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++)
      for (const row of rows) {
        const folder = join(out, "runs", slug(row.name, known), `seed-${seed}`);
        const found =
          readResult(folder) ??
          (await runOne({
            row,
            seed,
            folder,
            data,
            teacherOutputs,
            monitor,
            json: json === true,
            io,
            signal: stopper.signal,
          }));
        if (found === undefined) {
          if (!json)
            io.stderr.write(`interrupted; go on with the same command and --resume --out ${quoted(out)}\n`);
          return exitCodes.interrupted;
        }
        metric ??= found.metric;
        if (found.metric !== metric)
          throw new DistillError(
            "E_OPTION",
            `row "${row.name}" is measured by ${found.metric}, row "${rows[0]?.name}" by ${metric}, which cannot be compared; give all rows the same --task and data, or choose a --monitor that all of them have`,
          );
        results.push(found.result);
        if (json) io.stdout.write(jsonLine({ type: "result", metric: found.metric, ...found.result }));
      }
  } finally {
    stopper.dispose();
    teacherOutputs.close();
  }
  return await conclude(out, io, rows, results, metric as MetricKey, { ...typed, seeds, firstSeed });
}

function rowsOf(texts: readonly string[] | undefined, shared: TrainFlags): Row[] {
  if (!texts || texts.length === 0)
    throw new DistillError("E_OPTION", 'compare needs --row "name: options", once for each way of training');
  const rows = texts.map((text) => parseRow(text, shared));
  const twice = rows.find((r, i) => rows.findIndex((other) => other.name === r.name) !== i);
  if (twice)
    throw new DistillError("E_OPTION", `two rows are named "${twice.name}"; give each a name of its own`);
  for (const { name, flags } of rows) {
    if (flags.seed !== undefined)
      throw new DistillError(
        "E_OPTION",
        `row "${name}" has --seed ${flags.seed}, but all rows run from the same seeds; say which with --first-seed and --seeds`,
      );
    for (const key of ["student", "data"] as const)
      if (flags[key] === undefined) throw new DistillError("E_OPTION", `row "${name}" needs --${key}`);
  }
  return rows;
}

/**
 * Rows that were there before must be the same; new ones come after them. A row that is left out now stays known, for its
 * runs are still there and its folder is its own.
 */
function keep(out: string, now: Kept, resume: boolean): Kept {
  const path = join(out, "compare.json");
  let kept = now;
  if (existsSync(path)) {
    if (!resume)
      throw new DistillError(
        "E_RUN",
        `${out} holds a comparison already; go on with it with --resume, or choose another --out`,
      );
    const before = JSON.parse(readFileSync(path, "utf8")) as Kept;
    for (const row of before.rows) {
      const again = now.rows.find((r) => r.name === row.name);
      if (again && JSON.stringify(sorted(again.flags)) !== JSON.stringify(sorted(row.flags)))
        throw new DistillError(
          "E_RUN",
          `${out} was begun with other options for row "${row.name}"; resume with the same options, or name the new row otherwise`,
        );
    }
    if (before.validation !== now.validation || before.monitor !== now.monitor)
      throw new DistillError(
        "E_RUN",
        `${out} was begun with --validation ${before.validation}${before.monitor ? ` --monitor ${before.monitor}` : ""}; resume with the same options`,
      );
    const added = now.rows.filter((r) => !before.rows.some((b) => b.name === r.name));
    kept = { ...now, rows: [...before.rows, ...added] };
  } else if (resume)
    throw new DistillError(
      "E_RUN",
      `${out} holds no comparison to go on with; leave --resume out to begin one`,
    );
  mkdirSync(out, { recursive: true });
  writeWhole(path, `${JSON.stringify(kept, null, 2)}\n`);
  return kept;
}

const sorted = (flags: TrainFlags): unknown[] =>
  Object.entries(flags)
    .filter(([key]) => key !== "threads")
    .sort(([a], [b]) => (a < b ? -1 : 1));

/** A folder's name: letters and digits of the row's, with its number where that is not enough. */
function slug(name: string, rows: readonly Row[]): string {
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "") || "row";
  const same = rows.filter((r) => plain(r.name) === plain(name));
  const at = same.findIndex((r) => r.name === name);
  return at > 0 ? `${plain(name)}-${at + 1}` : plain(name);
}

interface Found {
  readonly metric: MetricKey;
  readonly result: RowResult;
}

function readResult(folder: string): Found | undefined {
  const path = join(folder, "result.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Found) : undefined;
}

interface OneRun {
  readonly row: Row;
  readonly seed: number;
  readonly folder: string;
  readonly data: ComparisonData;
  /** Shared by all runs. */
  readonly teacherOutputs: SharedTeacherOutputs;
  readonly monitor: TrainFlags["monitor"];
  readonly json: boolean;
  readonly io: CliIo;
  readonly signal: AbortSignal;
}

/** undefined: interrupted, and saved. */
async function runOne(o: OneRun): Promise<Found | undefined> {
  const { row, seed, folder } = o;
  const opened = await openRun(
    { ...(row.flags as RunFlags), seed, ...(o.monitor && { monitor: o.monitor }) },
    () => o.data.of(row),
  );
  if (opened.options.projectOutputs)
    throw new DistillError(
      "E_OPTION",
      `--row '${row.name}': --project-outputs leaves a student whose outputs cannot be measured against the teacher's on test data; try such students with train`,
    );
  const { test } = await o.data.of(row);
  const begun = existsSync(join(folder, "run.json"));
  const { done } = await followRun(
    distill({
      ...opened.options,
      out: folder,
      teacherOutputs: o.teacherOutputs,
      resume: begun,
      signal: o.signal,
    }),
    {
      io: o.io,
      json: false,
      quiet: o.json,
      label: `${row.name}, seed ${seed}`,
      brief: true,
      signal: o.signal,
    },
  );
  if (done.interrupted) return undefined;
  const task = taskOf(row.flags);
  const metric = o.monitor ?? task.monitors.find((m) => done.metrics[m] !== undefined) ?? "loss";
  const { teacher, runtime, options } = opened;
  const taught =
    teacher && metricSpecs[metric].against === "teacher"
      ? await evaluateModel(teacher, test, {
          ...{ runtime, task, role: "teacher", logits: options.teacherLogits },
          asked: askedOf(options, "teacher"),
          classMap: options.classMap,
          fix: teacherFixOf(options),
        })
      : undefined;
  const { metrics } = await evaluateModel(readModel(done.student, { source: row.name }), test, {
    runtime,
    task,
    logits: options.studentLogits,
    asked: askedOf(options, "student"),
    fix: { ...options.fix, ...options.studentFix },
    ...(taught && { teacher: taught.predictions }),
  });
  const result: RowResult = {
    row: row.name,
    seed,
    validation: done.metrics[metric] as number,
    test: metrics[metric] as number,
    seconds: done.seconds,
  };
  const found: Found = { metric, result };
  writeWhole(join(folder, "result.json"), `${JSON.stringify(found)}\n`);
  return found;
}

async function conclude(
  out: string,
  io: CliIo,
  rows: readonly Row[],
  results: readonly RowResult[],
  metric: MetricKey,
  flags: CompareFlags,
): Promise<number> {
  const spec = metricSpecs[metric];
  const share = spec.kind === "share";
  const scale = (v: number): number => (share ? 100 * v : v);
  const figures: Figures = { scale, digits: share ? 2 : 4, unit: share ? "%" : "" };
  const comparison = compareRows(
    rows.map((r) => r.name),
    results,
    {
      better: spec.better,
      show: (v) => `${scale(v).toFixed(figures.digits)}${share ? " %" : ""}`,
      showDifference: (v) => `${signed(v, figures)}${share ? " points" : ""}`,
    },
  );
  const { renderComparison } = await import("../compare/render-comparison.ts");
  const page = {
    title: `${rows.length} ways of training, ${flags.seeds} seeds`,
    command: commandOf(flags),
    metric: `${spec.title} on the test split`,
    comparison,
    results,
    ...figures,
    notes: [`Runs took ${formatDuration(results.reduce((a, r) => a + r.seconds, 0))} together.`],
  };
  const files = { table: join(out, "compare.md"), page: join(out, "compare.html") };
  writeWhole(files.table, comparisonMarkdown(comparison, figures));
  writeWhole(files.page, renderComparison(page));
  const path = join(out, "compare.json");
  const kept = JSON.parse(readFileSync(path, "utf8")) as Kept;
  writeWhole(path, `${JSON.stringify({ ...kept, metric, results, comparison }, null, 2)}\n`);
  if (flags.json) io.stdout.write(jsonLine({ type: "comparison", metric, ...comparison, ...files }));
  else io.stdout.write(`${asTable(comparison, figures)}\n${comparison.conclusion}\n${files.page}\n`);
  return exitCodes.ok;
}

function asTable({ rows }: Comparison, figures: Figures): string {
  const unit = figures.unit === "" ? "" : ` ${figures.unit}`;
  const heads = comparisonHeads.map((h) => (h === "validation" || h === "test" ? h + unit : h));
  return table([heads, ...rows.map((row) => comparisonCells(row, figures))], [1, 2, 3, 4, 5], "");
}

function commandOf({ json: _json, resume: _resume, ...flags }: CompareFlags): string {
  const given = Object.entries(asTyped(flags)).filter(([, value]) => value !== undefined);
  return ["onnx-distill compare", ...given.map(([key, value]) => spell(key, value))].join(" ");
}
