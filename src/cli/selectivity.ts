// `onnx-distill selectivity`: what the neurons of a model, or of a teacher and its student, respond to: as a page, as a
// short table, or as JSON.
import { writeFile } from "node:fs/promises";
import type { AnalysisTap, NeuronChoice } from "../analysis/analysis-taps.ts";
import {
  type AnalyzedSide,
  type AnalyzedTap,
  analyzeSelectivity,
  type SelectivityAnalysis,
} from "../analysis/selectivity.ts";
import { DistillError } from "../base/errors.ts";
import { formatCount, formatFixed, formatNumber, MISSING } from "../base/format.ts";
import type { Model } from "../onnx/model.ts";
import { largeModel, readModelFile } from "../onnx/read-model-file.ts";
import { checkFixedNames } from "../prepare/fixed-inputs.ts";
import { type FixFlags, parseFix } from "./fix-option.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { openPart } from "./open-data.ts";
import { createProgress } from "./progress.ts";
import { runtimeFor } from "./runtime-for.ts";
import { table } from "./table.ts";
import { parseTap } from "./tap-option.ts";

export interface SelectivityFlags extends Pick<FixFlags, "fix" | "studentFix"> {
  data?: string;
  mean?: number | number[];
  std?: number | number[];
  split?: "train" | "test";
  tap?: string[];
  neuron?: string[];
  samples?: number;
  batch?: number;
  seed?: number;
  logits?: string;
  out?: string;
  threads?: number;
  json?: boolean;
}

export async function selectivityCommand(
  path: string,
  studentPath: string | undefined,
  flags: SelectivityFlags,
  io: CliIo,
): Promise<number> {
  if (flags.data === undefined) throw new DistillError("E_OPTION", "selectivity needs --data");
  const neurons = flags.neuron?.map(parseNeuron);
  const model = await readModelFile(path, { leaveFrom: largeModel });
  const student =
    studentPath === undefined ? undefined : await readModelFile(studentPath, { leaveFrom: largeModel });
  const dataset = await openPart(flags.data, flags.split, flags);
  const runtime = runtimeFor(flags.threads);
  const fix = parseFix(flags.fix);
  checkFixedNames(fix ?? {}, student ? [model, student] : [model], "--fix");
  const total = Math.min(dataset.length, flags.samples ?? 2000);
  const progress = createProgress({ stream: io.stderr, total, label: "responses", unit: "sample" });
  let found: SelectivityAnalysis;
  try {
    found = await analyzeSelectivity({
      model,
      student,
      runtime,
      dataset,
      taps: tapsOf(flags.tap ?? [], model, student),
      neurons,
      samples: flags.samples,
      batch: flags.batch,
      seed: flags.seed,
      logits: flags.logits,
      fix,
      studentFix: { ...fix, ...parseFix(flags.studentFix, "--student-fix") },
      onProgress: (done) => progress.update(done),
    });
  } finally {
    progress.finish("");
  }
  const out = flags.out ?? (flags.json ? undefined : "selectivity.html");
  if (out !== undefined) {
    const { renderSelectivityPage } = await import("../report/selectivity-page.ts");
    const { readPictures } = await import("../report/sample-pictures.ts");
    const page = renderSelectivityPage(found, {
      models: [path, ...(studentPath === undefined ? [] : [studentPath])],
      data: flags.data,
      created: new Date().toISOString(),
      pictures: await readPictures(found, dataset, flags),
    });
    await writePage(out, page);
  }
  if (flags.json) io.stdout.write(`${JSON.stringify(toJson(found, path, studentPath, flags.data))}\n`);
  else io.stdout.write(show(found, path, studentPath, flags.data, out as string));
  return exitCodes.ok;
}

async function writePage(path: string, page: string): Promise<void> {
  try {
    await writeFile(path, page);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DistillError("E_FILE", `${path}: the page cannot be written (${code}); give another --out`, {
      cause,
    });
  }
}

/** `features:12`; the tap's name may hold colons itself. */
function parseNeuron(text: string): NeuronChoice {
  const at = text.lastIndexOf(":");
  const neuron = text.slice(at + 1);
  if (at < 1 || !/^\d+$/.test(neuron))
    throw new DistillError(
      "E_OPTION",
      `--neuron ${text}: expected a tap's name and the number of a neuron, for example features:12`,
    );
  return { tap: text.slice(0, at), neuron: Number(neuron) };
}

/** Undefined for `auto` alone, unless the model has a value of that name. */
function tapsOf(
  texts: readonly string[],
  model: Model,
  student: Model | undefined,
): AnalysisTap[] | undefined {
  if (texts.length === 1 && texts[0] === "auto" && !model.graph.has("auto")) return undefined;
  const taps = texts.map((text) => tapOf(text, model, student));
  const twice = taps.find((t, i) => taps.findIndex((u) => u.name === t.name) !== i);
  if (twice)
    throw new DistillError(
      "E_OPTION",
      `--tap: two taps are named "${twice.name}"; give each a name of its own: --tap other=${twice.teacher}`,
    );
  return taps;
}

function tapOf(text: string, model: Model, student: Model | undefined): AnalysisTap {
  if (student) return parseTap(text, model.graph, student.graph);
  const { graph } = model;
  const found = parseTap(text, graph, { has: (name) => graph.has(name) });
  if (found.teacher !== found.student)
    throw new DistillError(
      "E_OPTION",
      `--tap ${text}: names two values, and there is one model; name one, or give a student after the model`,
    );
  return found;
}

function show(
  found: SelectivityAnalysis,
  model: string,
  student: string | undefined,
  data: string,
  page: string,
): string {
  const { taps, samples, classesFrom } = found;
  const median = ({ profile }: AnalyzedSide, metric: "class-selectivity" | "lifetime-sparseness") => {
    const sorted = [...(profile.scores[metric] ?? [])].sort((a, b) => a - b);
    return sorted.length === 0 ? MISSING : formatFixed(sorted[sorted.length >> 1], 2);
  };
  const row = (name: string, who: string, side: AnalyzedSide): string[] => [
    name,
    ...(student === undefined ? [] : [who]),
    formatCount(side.profile.neurons),
    formatCount(side.profile.dead.length),
    formatCount(side.profile.alwaysOn.length),
    median(side, "lifetime-sparseness"),
    ...(classesFrom ? [median(side, "class-selectivity")] : []),
  ];
  const head = [
    "tap",
    ...(student === undefined ? [] : ["model"]),
    "neurons",
    "dead",
    "always on",
    "sparseness",
    ...(classesFrom ? ["class selectivity"] : []),
  ];
  const rows = taps.flatMap((t) => [
    row(t.name, "teacher", t.teacher),
    ...(t.student ? [row("", "student", t.student)] : []),
  ]);
  const first = student === undefined ? 1 : 2;
  const right = head.map((_, i) => i).slice(first);
  const what = `${model}${student === undefined ? "" : ` and ${student}`} on ${formatCount(samples)} samples of ${data}`;
  return [
    `${what}${classesFrom === "predictions" ? "; classes are the model's predictions" : ""}\n`,
    table([head, ...rows], right),
    ...found.notes.map((note) => `note: ${note}\n`),
    ...taps.filter((t) => t.comparison).map(distances),
    `\npage: ${page}\n`,
  ].join("");
}

/** Relative distances, by metric and match. */
function distances({ name, comparison }: AnalyzedTap): string {
  const all = comparison?.distances ?? [];
  const matches = [...new Set(all.map((d) => d.match))];
  const metrics = [...new Set(all.map((d) => d.metric))];
  const rows = metrics.map((metric) => [
    metric,
    ...matches.map((match) => {
      const d = all.find((x) => x.metric === metric && x.match === match);
      return d ? formatNumber(d.relative) : "";
    }),
  ]);
  const head = ["metric", ...matches.map((m) => `by ${m}`)];
  return `\n${name}: how far the student's scores are from the teacher's (0: equal, 1: as far as scores of 0)\n${table(
    [head, ...rows],
    matches.map((_, i) => i + 1),
  )}`;
}

function toJson(found: SelectivityAnalysis, model: string, student: string | undefined, data: string) {
  const { taps, classNames = [], ...rest } = found;
  const side = ({ value, shape, profile }: AnalyzedSide, chosen: readonly number[]) => ({
    value,
    shape,
    neurons: profile.neurons,
    rows: profile.rows,
    dead: profile.dead,
    alwaysOn: profile.alwaysOn,
    scores: Object.fromEntries(Object.entries(profile.scores).map(([metric, s]) => [metric, [...s]])),
    ...(profile.classResponse && {
      classResponse: Array.from({ length: profile.neurons }, (_, c) =>
        classNames.map((_, k) => profile.classResponse?.[k * profile.neurons + c]),
      ),
    }),
    excited: chosen.map((neuron) => ({ neuron, samples: profile.excited(neuron) })),
  });
  return {
    model,
    ...(student !== undefined && { student }),
    data,
    ...rest,
    ...(classNames.length > 0 && { classNames }),
    taps: taps.map((t) => ({
      name: t.name,
      model: side(
        t.teacher,
        t.chosen.map((c) => c.neuron),
      ),
      ...(t.student && {
        student: side(
          t.student,
          t.chosen.flatMap((c) => c.partner ?? []),
        ),
      }),
      ...(t.comparison && { comparison: t.comparison }),
    })),
  };
}
