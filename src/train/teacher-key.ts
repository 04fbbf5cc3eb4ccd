// What a run would ask its teacher, as text: two runs over the same data whose keys are equal are told the same, to the bit.
import { recordOf } from "../prepare/fixed-inputs.ts";
import { augments } from "./batch-inputs.ts";
import { teacherFixOf } from "./fit-models.ts";
import type { PreparedRun } from "./prepare-run.ts";
import type { SharedTeacherOutputs } from "./shared-teacher-outputs.ts";

export function teacherKey(
  { options, o, runtime, taps, teacher }: PreparedRun,
  shared: SharedTeacherOutputs,
): string {
  return JSON.stringify({
    teacher: options.teacher && shared.nameOf(options.teacher),
    logits: [options.teacherLogits, o.teacherGives, teacher?.reading],
    fix: recordOf(teacherFixOf(options)),
    ...(o.classMap && { classes: o.classMap }),
    task: [o.task.name, o.taskOptions],
    // The very object: another may optimise otherwise, and its bits differ.
    runtime: shared.nameOf(runtime),
    // All taps, also those that are not kept: what else is fetched decides what the runtime fuses, and so the last bits.
    taps: taps.map(({ name, teacher, forms }) => [name, teacher, forms?.teacher]),
    batch: o.batch,
    type: o.teacherCacheType,
    augment: augments(o) ? [o.augment, o.seed] : [],
  });
}
