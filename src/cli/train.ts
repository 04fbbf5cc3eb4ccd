// `onnx-distill train`: opens what the options name, runs distill(), shows it, and writes the report.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DistillError } from "../base/errors.ts";
import { formatBytes, formatCount, formatMilliseconds } from "../base/format.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { readModelFile } from "../onnx/read-model-file.ts";
import type { ModelRow } from "../report/data.ts";
import type { Runtime } from "../runtime/session.ts";
import { distill } from "../train/distill.ts";
import { teacherFixOf } from "../train/fit-models.ts";
import type { DistillOptions } from "../train/options.ts";
import { askedOf } from "../train/output-options.ts";
import { RunFolder, writeWhole } from "../train/run-folder.ts";
import type { FormedTap } from "../train/taps.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { openRun } from "./open-run.ts";
import { type DoneEvent, followRun, jsonLine, metricsText } from "./print-run.ts";
import { stopOnSignals } from "./stop-signals.ts";
import { taskOf } from "./task-flags.ts";
import {
  asTyped,
  type KeptCommand,
  keptCommand,
  quoted,
  resumedFlags,
  spellCommand,
  type TrainFlags,
} from "./train-options.ts";

export async function trainCommand(typed: TrainFlags, io: CliIo): Promise<number> {
  const flags = withResumed(asTyped(typed));
  const { out, data: dataPath, student: studentPath } = flags;
  const missing = (["student", "data", "out"] as const).filter((key) => flags[key] === undefined);
  if (out === undefined || dataPath === undefined || studentPath === undefined)
    throw new DistillError(
      "E_OPTION",
      `train needs ${missing.map((key) => `--${key}`).join(" and ")}; or continue a run with --resume --out <folder>`,
    );
  // A folder that will be refused is refused before anything is opened.
  if (!flags.resume) RunFolder.refuse(out);
  const opened = await openRun({ ...flags, student: studentPath, data: dataPath });
  const { student, teacher, data, evaluation, runtime } = opened;

  const stopper = stopOnSignals(io.signal);
  try {
    const options: DistillOptions = {
      ...opened.options,
      out,
      resume: flags.resume,
      signal: stopper.signal,
    };
    const notes: string[] = [];
    let used: readonly FormedTap[] = [];
    const { done, checkpoint } = await followRun(distill(options), {
      io,
      json: flags.json === true,
      signal: stopper.signal,
      onStart(event) {
        used = event.taps;
        notes.push(...event.notes.map(sentence));
        const run = RunFolder.open(out);
        run.writeJson("run.json", { ...run.readJson<object>("run.json"), command: keptCommand(flags) });
      },
    });
    notes.push(...done.notes.map(sentence));
    if (done.interrupted) return interrupted(io, flags, out, done, checkpoint);
    return await finish({
      io,
      flags,
      options,
      out,
      done,
      student,
      teacher,
      taps: used,
      data,
      evaluation,
      runtime,
      notes,
    });
  } finally {
    stopper.dispose();
  }
}

const sentence = (note: string): string => `${note[0]?.toUpperCase()}${note.slice(1)}.`;

function withResumed(flags: TrainFlags): TrainFlags {
  if (!flags.resume || flags.out === undefined) return flags;
  const { command } = RunFolder.open(flags.out).readJson<{ command?: KeptCommand }>("run.json");
  return resumedFlags(flags, command, flags.out);
}

function interrupted(
  io: CliIo,
  flags: TrainFlags,
  out: string,
  done: DoneEvent,
  checkpoint: string | undefined,
): number {
  if (!flags.json)
    io.stderr.write(
      `interrupted at step ${formatCount(done.step)}; saved in ${checkpoint}. Continue with:\n  onnx-distill train --resume --out ${quoted(out)}\n`,
    );
  return exitCodes.interrupted;
}

interface Finished {
  readonly io: CliIo;
  readonly flags: TrainFlags;
  readonly options: DistillOptions;
  readonly out: string;
  readonly done: DoneEvent;
  readonly student: Model;
  readonly teacher: Model | undefined;
  readonly taps: readonly FormedTap[];
  readonly data: Dataset;
  readonly evaluation: Dataset | undefined;
  readonly runtime: Runtime;
  readonly notes: readonly string[];
}

/** Measures, writes report.html and the figures into run.json, and says where things are. */
async function finish(f: Finished): Promise<number> {
  const { io, flags, options, out, teacher } = f;
  const { runReport, machineInfo } = await import("../report/run-report.ts");
  const { renderReport } = await import("../report/render-report.ts");
  const run = RunFolder.open(out);
  const record = run.readJson<{ config: Record<string, unknown> }>("run.json");
  const label = "student";
  const { data, final } = await runReport({
    title: teacher ? "Distillation run" : "Training run",
    task: taskOf(flags),
    command: spellCommand(flags),
    config: record.config,
    notes: f.notes,
    models: [
      ...(teacher
        ? [
            {
              ...{ role: "teacher" as const, label: "teacher", model: teacher, logits: flags.teacherLogits },
              asked: askedOf(flags, "teacher"),
              ...(options.classMap && { classMap: options.classMap }),
              fix: teacherFixOf(options),
            },
          ]
        : []),
      {
        role: "student",
        label,
        training: teacher ? "distilled" : "labels",
        model: readModel(f.done.student, { source: join(out, "student.onnx") }),
        logits: flags.studentLogits,
        asked: askedOf(flags, "student"),
        fix: { ...options.fix, ...options.studentFix },
        folder: out,
        seconds: f.done.seconds,
      },
    ],
    before: (await initialStudent(out)) ?? f.student,
    taps: f.taps,
    metric: flags.metric,
    data: f.data,
    evaluation: f.evaluation,
    evaluationName: flags.evalData ?? (flags.data as string),
    batch: flags.batch ?? 128,
    runtime: f.runtime,
  });
  const report = join(out, "report.html");
  writeWhole(report, renderReport(data));
  run.writeJson("run.json", { ...record, machine: machineInfo(), final });
  const files = { student: join(out, "student.onnx"), report };
  if (flags.json) io.stdout.write(jsonLine({ type: "written", ...files, models: final.models }));
  else io.stdout.write(`${resultLine(final.models)}\n${files.student}\n${files.report}\n`);
  return exitCodes.ok;
}

/** What a run with fresh weights began with. */
async function initialStudent(out: string): Promise<Model | undefined> {
  const path = join(out, "initial.onnx");
  return existsSync(path) ? readModelFile(path) : undefined;
}

/** `student: top-1 88.1 % (teacher 93.3 %)  …  11,034 parameters, 44.1 kB, 21 µs per sample` */
function resultLine(models: readonly ModelRow[]): string {
  const student = models.at(-1) as ModelRow;
  const teacher = models.find((m) => m.role === "teacher");
  const size = `${formatCount(student.parameters)} parameters, ${formatBytes(student.bytes)}, ${formatMilliseconds(student.msPerSample)} per sample`;
  const metrics = metricsText(student.metrics, teacher?.metrics ?? {});
  return `${student.label}: ${metrics === "" ? "" : `${metrics}  `}${size}`;
}
