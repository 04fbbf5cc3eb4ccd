// Shows a training run while it goes: bar or plain lines on stderr, or every event as JSON on stdout. Prints what
// happened; decides nothing about the run.
import { formatCount, formatNumber, isFiniteNumber, type MaybeNumber } from "../base/format.ts";
import { formatShape } from "../base/tensor.ts";
import { roleCells } from "../compile/role-table.ts";
import { formatMetric, type MetricKey, type Metrics, metricKeys, metricSpecs } from "../tasks/index.ts";
import type { CompiledEvent, DistillEvent } from "../train/events.ts";
import type { CliIo } from "./io.ts";
import { createProgress, type Progress } from "./progress.ts";
import { table } from "./table.ts";

export type DoneEvent = Extract<DistillEvent, { type: "done" }>;
type StartEvent = Extract<DistillEvent, { type: "start" }>;

export interface FollowOptions {
  readonly io: CliIo;
  readonly json: boolean;
  /** Neither lines nor JSON. */
  readonly quiet?: boolean;
  /** Without the table of what is trained: of a run that follows others of the same student. */
  readonly brief?: boolean;
  /** What is trained, e.g. "student"; stands in every JSON line as `run` where given. */
  readonly label?: string;
  /** Called once the run folder is there and before the first step. */
  readonly onStart?: (event: StartEvent) => void;
  /** Its abort is told to the user. */
  readonly signal: AbortSignal;
}

/** Runs the events to their end and returns the last one, and the last checkpoint's path. */
export async function followRun(
  events: AsyncIterable<DistillEvent>,
  o: FollowOptions,
): Promise<{ done: DoneEvent; checkpoint: string | undefined }> {
  const label = o.label ?? "student";
  const silent = o.json || o.quiet === true;
  let progress: Progress | undefined;
  let start: StartEvent | undefined;
  let teacher: Metrics = {};
  let checkpoint: string | undefined;
  let done: DoneEvent | undefined;
  let told = false;
  const say = (line: string): void => {
    if (silent) return;
    if (progress) progress.log(line);
    else o.io.stderr.write(`${line}\n`);
  };
  const show = (label: string, total: number, unit: string, begun = 0): Progress => {
    if (!progress) progress = createProgress({ stream: o.io.stderr, total, label, unit, start: begun });
    return progress;
  };
  const close = (text?: string): void => {
    progress?.finish(text);
    progress = undefined;
  };
  const stopping = (): void => say("stopping after this step and saving; once more quits at once");
  o.signal.addEventListener("abort", stopping);
  try {
    for await (const event of events) {
      if (o.json) o.io.stdout.write(jsonLine(event, o.label));
      switch (event.type) {
        case "start":
          start = event;
          o.onStart?.(event);
          say(startLine(label, event));
          if (!o.brief) for (const line of roleLines(event)) say(line);
          for (const note of event.notes) say(`note: ${note}`);
          break;
        case "teacher":
          if (!silent) {
            show("teacher's outputs", event.total, "sample").update(event.done);
            if (event.done >= event.total) close();
          }
          break;
        case "compiled":
          if (!told) say(compiledLine(event));
          told = true;
          if (event.advice) say(`note: ${event.advice}`);
          break;
        case "step":
          if (!silent)
            show(label, start?.steps ?? 0, "step", event.step - 1).update(event.step, lossText(event.losses));
          break;
        case "evaluation":
          if (event.who === "teacher") {
            teacher = event.metrics;
            say(`teacher: ${metricsText(event.metrics, {})}`);
          } else
            say(
              `${label}, epoch ${event.epoch}/${start?.epochs ?? "?"}: ${metricsText(event.metrics, teacher)}${event.best ? "  (best so far)" : ""}`,
            );
          break;
        case "checkpoint":
          checkpoint = event.path;
          break;
        case "done":
          done = event;
          for (const note of event.notes) say(`note: ${note}`);
      }
    }
  } finally {
    o.signal.removeEventListener("abort", stopping);
    close(done ? undefined : "");
  }
  return { done: done as DoneEvent, checkpoint };
}

function roleLines({ roles }: StartEvent): string[] {
  return table(roleCells(roles), [1, 2]).trimEnd().split("\n");
}

function startLine(label: string, e: StartEvent): string {
  const trained = e.trained === e.parameters ? "" : `, ${formatCount(e.trained)} of them trained`;
  const resumed = e.resumedAt > 0 ? `, resumed at step ${formatCount(e.resumedAt)}` : "";
  return `${label}: ${formatCount(e.parameters)} parameters${trained}; ${e.epochs} epoch${e.epochs === 1 ? "" : "s"} of ${formatCount(e.stepsPerEpoch)} steps${resumed}`;
}

function compiledLine({ inputs, seconds }: CompiledEvent): string {
  const shapes = Object.entries(inputs).map(([name, dims]) => `${name} ${formatShape(dims)}`);
  return `note: batches differ in shape; a step is compiled for each when it comes first (${shapes.join(", ")}: ${formatNumber(seconds)} s)`;
}

function lossText(losses: Readonly<Record<string, number>>): string {
  const terms = Object.entries(losses);
  // One term is the loss itself.
  const shown = terms.length === 2 ? terms.slice(0, 1) : terms;
  return shown.map(([name, v]) => `${name.replace(/^loss\//, "")} ${formatNumber(v)}`).join("  ");
}

/** `top-1 88.1 % (teacher 93.3 %)  top-5 99.8 %  loss 0.33  agreement 90.2 %`: the teacher's beside the first metric. */
export function metricsText(
  m: Partial<Record<MetricKey, MaybeNumber>>,
  teacher: Partial<Record<MetricKey, MaybeNumber>>,
): string {
  const keys = (Object.keys(m) as MetricKey[]).filter((key) => metricKeys.includes(key));
  return keys
    .map((key, i) => {
      const taught = i === 0 && metricSpecs[key].against === "labels" ? teacher[key] : undefined;
      const beside = isFiniteNumber(taught) ? ` (teacher ${formatMetric(key, taught)})` : "";
      return `${metricSpecs[key].short} ${formatMetric(key, m[key])}${beside}`;
    })
    .join("  ");
}

/** One event as one line; the student's bytes are told by their number. */
export function jsonLine(event: DistillEvent | Record<string, unknown>, run?: string): string {
  const { student, ...rest } = event as Record<string, unknown>;
  const bytes =
    student instanceof Uint8Array
      ? { studentBytes: student.length }
      : student === undefined
        ? {}
        : { student };
  return `${JSON.stringify({ ...(run === undefined ? {} : { run }), ...rest, ...bytes })}\n`;
}
