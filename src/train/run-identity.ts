// What a run folder knows its run by, so that only the same run is continued, and where an interrupted one goes on.
import { createHash } from "node:crypto";
import { DistillError } from "../base/errors.ts";
import { fileSize, fileView } from "../base/value-info.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import type { AnyStrategy } from "../strategies/index.ts";
import { describeStrategy } from "./describe-strategy.ts";
import type { Metrics } from "./evaluate.ts";
import type { DistillOptions, Resolved } from "./options.ts";
import type { RunFolder } from "./run-folder.ts";

export type RunIdentity = ReturnType<typeof identityOf>;

/** What must be the same for a run to be continued, and what run.json records. */
export function identityOf(
  options: DistillOptions,
  o: Resolved,
  student: Model,
  strategy: AnyStrategy | undefined,
  prepared: object,
) {
  const { target, task, taskOptions, accumulate, ...rest } = o;
  return {
    format: 1,
    config: {
      ...rest,
      task: task.name,
      ...taskOptions,
      ...(accumulate > 1 && { accumulate }),
      target: target.name,
      strategy: strategy ? describeStrategy(strategy) : { name: "supervised" },
      student: student.source,
      studentSha256: sha256(student),
      teacher:
        typeof options.teacher === "string" ? options.teacher : options.teacher ? "(given in memory)" : null,
      samples: options.data.length,
      evaluationSamples: options.evaluation?.length ?? 0,
      prepared,
    },
  };
}

/** Of the file and its external data, in the order of their locations. */
function sha256(model: Model): string {
  const hash = createHash("sha256").update(modelBytes(model));
  for (const file of model.externalFiles.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    for (let at = 0; at < fileSize(file); at += 2 ** 26)
      hash.update(fileView(file, at, Math.min(2 ** 26, fileSize(file) - at)));
  return hash.digest("hex");
}

/** What a run that goes on may have otherwise than it was begun. */
const free: readonly string[] = ["epochs"];

/** What the run in this folder was begun with. Error: E_RUN where that is something else than now. */
export function beginningOf(run: RunFolder, identity: RunIdentity): { readonly epochs?: number } {
  const before = run.readJson<{ config?: Record<string, unknown> }>("run.json").config ?? {};
  const now = JSON.parse(JSON.stringify(identity.config)) as Record<string, unknown>;
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    if (was !== is && !free.includes(key))
      throw new DistillError(
        "E_RUN",
        `${run.path} was begun with ${key} ${was ?? "(none)"}, now it is ${is ?? "(none)"}; resume with the same options, or start a new run`,
      );
  }
  return before;
}

/** What an earlier part of the run measured of the student of that step. */
export function metricsAt(run: RunFolder, step: number | undefined): Metrics {
  const entry = run
    .entries()
    .findLast((e) => e.type === "evaluation" && e.who === "student" && e.step === step);
  if (!entry) return {};
  const { type, who, step: _, epoch, best, ...metrics } = entry;
  return metrics;
}
