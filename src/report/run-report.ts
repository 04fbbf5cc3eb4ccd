// From finished runs to what the report shows: measures the models once more under equal conditions, reads the run's
// log, scores the neurons of the taps. Draws nothing (render-report.ts) and prints nothing. For Node.
import { createRequire } from "node:module";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { type MeasuredSelectivity, measureSelectivity } from "../analysis/measure-selectivity.ts";
import { subset } from "../data/array-dataset.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import type { Fix } from "../prepare/fixed-inputs.ts";
import type { Runtime } from "../runtime/session.ts";
import type { SelectivityMetric } from "../strategies/index.ts";
import { metricNamed } from "../strategies/selectivity-metric.ts";
import { type AskedReading, metricKeys, type Task } from "../tasks/index.ts";
import type { ClassMap } from "../train/class-map.ts";
import { type Evaluation, recalls } from "../train/evaluate.ts";
import { evaluateModel } from "../train/evaluate-model.ts";
import { fitInputs } from "../train/fit-inputs.ts";
import { modelSize } from "../train/model-figures.ts";
import { RunFolder } from "../train/run-folder.ts";
import type { FormedTap } from "../train/taps.ts";
import type {
  Confusion,
  EvaluationRecord,
  Machine,
  ModelRow,
  PerClass,
  ReportData,
  RunSeries,
  SelectivityScores,
  StepRecord,
} from "./data.ts";

export interface ReportedModel {
  readonly role: "teacher" | "student";
  /** Unique; a run of this label is this model's training. */
  readonly label: string;
  /** How a student was trained. */
  readonly training?: "distilled" | "labels";
  readonly model: Model;
  /** The value that holds the logits; default: the first output. */
  readonly logits?: string | undefined;
  /** Of a teacher whose classes are others than the data's. */
  readonly classMap?: ClassMap;
  /** What was said of how its output is read. */
  readonly asked?: AskedReading | undefined;
  /** Its inputs that are one value for all samples. */
  readonly fix?: Fix | undefined;
  /** Run folder of the training, for the curves. */
  readonly folder?: string;
  /** Wall time of the training. */
  readonly seconds?: number;
}

export interface RunReportOptions {
  readonly title: string;
  /** Default: classification. */
  readonly task?: Task | undefined;
  readonly command?: string;
  readonly config?: Record<string, unknown>;
  readonly notes?: readonly string[];
  /** Teacher first. */
  readonly models: readonly ReportedModel[];
  /** The student before training. */
  readonly before: Model;
  /** As the start of the run told them. */
  readonly taps: readonly FormedTap[];
  /** What was trained on: times and selectivity are measured on it where there is no evaluation data. */
  readonly data: Dataset;
  readonly evaluation?: Dataset | undefined;
  readonly evaluationName?: string;
  readonly batch: number;
  readonly runtime: Runtime;
  /** The metric that was trained for, where one was: shown beside the three that every report has. */
  readonly metric?: SelectivityMetric | undefined;
  /** Samples that the selectivity scores are taken over; default 1000. */
  readonly samples?: number;
}

/** The measured numbers, as run.json keeps them under "final". */
export type FinalFigures = Pick<ReportData, "models" | "confusion" | "perClass" | "selectivity">;

type Measured = Evaluation & { readonly batch: number };

/** Samples that time is measured on without evaluation data. */
const timedSamples = 1000;

/**
 * Measures every model on the evaluation data (metrics, confusion, milliseconds per sample at `batch`) and the selectivity
 * of every tap's neurons in the teacher, in the student before training, and in each student after it.
 *
 * @returns `data` for `renderReport`, and the measured numbers alone.
 */
export async function runReport(given: RunReportOptions): Promise<{ data: ReportData; final: FinalFigures }> {
  const o = await fitted(given);
  const measured = o.evaluation ?? subset(o.data, range(Math.min(timedSamples, o.data.length)));
  const evaluations = new Map<string, Measured>();
  let teacherSays: Evaluation | undefined;
  for (const m of o.models) {
    const found = await evaluateModel(m.model, measured, {
      runtime: o.runtime,
      batch: o.batch,
      logits: m.logits,
      classMap: m.classMap,
      asked: m.asked,
      role: m.role,
      task: o.task,
      teacher: m.role === "teacher" ? undefined : teacherSays?.predictions,
      teacherWidth: teacherSays?.width,
    });
    if (m.role === "teacher") teacherSays = found;
    evaluations.set(m.label, found);
  }
  const rows = o.models.map((m) => rowOf(m, evaluations.get(m.label) as Measured, o));
  const classNames = namesOf(measured, evaluations);
  const main =
    o.models.find((m) => m.training === "distilled") ?? o.models.findLast((m) => m.role === "student");
  const counts = o.evaluation && main && evaluations.get(main.label)?.confusion;
  const confusion: Confusion | undefined =
    main && counts ? { label: main.label, classNames, counts } : undefined;
  const perClass: PerClass | undefined = counts && {
    classNames,
    models: o.models.flatMap(({ label }) => {
      const own = evaluations.get(label)?.confusion;
      return own ? [{ label, recall: recalls(own) }] : [];
    }),
  };
  const selectivity = await scoresOf(o, measured);
  const final: FinalFigures = {
    models: rows,
    ...(confusion && { confusion }),
    ...(perClass && { perClass }),
    ...(selectivity.length > 0 && { selectivity }),
  };
  const data: ReportData = {
    title: o.title,
    created: new Date().toISOString(),
    ...(o.task && { task: o.task.name }),
    ...(o.command !== undefined && { command: o.command }),
    ...(o.config && { config: o.config }),
    machine: machineInfo(),
    ...(o.evaluation && {
      evaluation: {
        samples: o.evaluation.length,
        ...(o.evaluationName !== undefined && { name: o.evaluationName }),
      },
    }),
    ...final,
    runs: o.models.flatMap((m) => (m.folder === undefined ? [] : [seriesOf(m, m.folder)])),
    ...(o.notes && o.notes.length > 0 && { notes: [...o.notes] }),
  };
  return { data, final };
}

/** The models as the data feed them. */
async function fitted(o: RunReportOptions): Promise<RunReportOptions> {
  const fitOf = async (model: Model, fix: Fix | undefined) => (await fitInputs(model, o.data, fix)).model;
  const models: ReportedModel[] = [];
  for (const m of o.models) models.push({ ...m, model: await fitOf(m.model, m.fix) });
  const own = o.models.find((m) => m.role === "student")?.fix;
  return { ...o, models, before: await fitOf(o.before, own) };
}

function rowOf(m: ReportedModel, found: Measured, o: RunReportOptions): ModelRow {
  const size = modelSize(m.model);
  return {
    role: m.role,
    label: m.label,
    ...(m.training && { training: m.training }),
    parameters: size.parameters,
    bytes: size.bytes,
    msPerSample: found.msPerSample,
    batch: Math.min(found.batch, found.samples),
    metrics: o.evaluation ? found.metrics : {},
  };
}

function namesOf(dataset: Dataset, evaluations: ReadonlyMap<string, Measured>): string[] {
  const classes = Math.max(0, ...[...evaluations.values()].map((e) => e.confusion?.length ?? 0));
  return range(classes).map((i) => dataset.classNames?.[i] ?? String(i));
}

async function scoresOf(o: RunReportOptions, dataset: Dataset): Promise<SelectivityScores[]> {
  const teacher = o.models.find((m) => m.role === "teacher");
  if (!teacher || o.taps.length === 0) return [];
  const metrics = reported(o.metric);
  const measure = (model: Model, side: "teacher" | "student") =>
    measureSelectivity({
      model,
      runtime: o.runtime,
      dataset,
      values: Object.fromEntries(o.taps.map((t) => [t.name, t[side]])),
      forms: Object.fromEntries(o.taps.map((t) => [t.name, t.forms?.[side]])),
      ...(o.samples !== undefined && { samples: o.samples }),
      metrics,
    });
  const after = o.models.find((m) => m.training === "distilled");
  const labelsOnly = o.models.find((m) => m.training === "labels");
  if (!after) return [];
  const found = {
    teacher: await measure(teacher.model, "teacher"),
    before: await measure(o.before, "student"),
    after: await measure(after.model, "student"),
    ...(labelsOnly && { labelsOnly: await measure(labelsOnly.model, "student") }),
  };
  return o.taps.flatMap(({ name }) =>
    metrics.map((metric) => {
      const of = (side: Record<string, MeasuredSelectivity>) => side[name]?.scores[metric] ?? [];
      return {
        tap: name,
        metric,
        samples: found.teacher[name]?.rows ?? 0,
        teacher: of(found.teacher),
        before: of(found.before),
        after: of(found.after),
        ...(found.labelsOnly && { labelsOnly: of(found.labelsOnly) }),
      };
    }),
  );
}

/** The three that every report shows, and the one that was trained for where it is another that scores each neuron. */
function reported(trained: SelectivityMetric | undefined): readonly SelectivityMetric[] {
  const usual: SelectivityMetric[] = ["variance", "sparsity", "peak-to-average"];
  if (trained === undefined || usual.includes(trained)) return usual;
  const { of, needsClasses } = metricNamed("report", trained);
  return of === "neuron" && !needsClasses ? [trained, ...usual] : usual;
}

function seriesOf(m: ReportedModel, folder: string): RunSeries {
  const entries = RunFolder.open(folder).entries();
  const steps = entries
    .filter((e) => e.type === "step")
    .map((e) => ({ ...e, epoch: (e.epoch as number) + 1 }) as unknown as StepRecord);
  const evaluations = entries
    .filter((e) => e.type === "evaluation" && e.who === "student")
    .map((e): EvaluationRecord => {
      const metrics = metricKeys.flatMap((key) =>
        typeof e[key] === "number" ? [[key, e[key]] as const] : [],
      );
      return { step: e.step as number, epoch: e.epoch as number, metrics: Object.fromEntries(metrics) };
    });
  return { label: m.label, ...(m.seconds !== undefined && { seconds: m.seconds }), steps, evaluations };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The machine that figures were measured on. */
export function machineInfo(): Machine {
  const cpu = cpus()[0]?.model.trim();
  return {
    ...(cpu && { cpu }),
    cores: availableParallelism(),
    memory: totalmem(),
    os: `${process.platform} ${process.arch} ${release()}`,
    node: process.versions.node,
    onnxruntime: `${runtimeVersion()}, CPU`,
  };
}

function runtimeVersion(): string {
  try {
    const load = createRequire(import.meta.url);
    return (load("onnxruntime-node/package.json") as { version: string }).version;
  } catch {
    return "unknown";
  }
}
