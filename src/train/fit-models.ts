// Both models of a run as its data feed them, and the data held to what was fitted.
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../onnx/model.ts";
import { checkFixedNames, type Fix } from "../prepare/fixed-inputs.ts";
import { heldAlike } from "./alike-inputs.ts";
import { type FittedModel, fitInputs } from "./fit-inputs.ts";
import type { DistillOptions } from "./options.ts";

export interface FittedRun {
  readonly student: FittedModel;
  readonly teacher: FittedModel | undefined;
  readonly data: Dataset;
  readonly evaluation: Dataset | undefined;
  readonly notes: readonly string[];
}

/** Errors: as `fitInputs`, `checkFixedNames`. */
export async function fitModels(
  o: Pick<DistillOptions, "data" | "evaluation" | "fix" | "studentFix" | "teacherFix">,
  student: Model,
  teacher: Model | undefined,
): Promise<FittedRun> {
  checkFixedNames(o.fix ?? {}, teacher ? [student, teacher] : [student], "--fix");
  checkFixedNames(o.studentFix ?? {}, [student], "--student-fix");
  checkFixedNames(o.teacherFix ?? {}, teacher ? [teacher] : [], "--teacher-fix");
  const own = await fitInputs(student, o.data, { ...o.fix, ...o.studentFix }, "the student's");
  const taught = teacher && (await fitInputs(teacher, o.data, teacherFixOf(o), "the teacher's"));
  const held = (data: Dataset, name: string): Dataset =>
    [own, ...(taught ? [taught] : [])].reduce((d, { alike }) => heldAlike(d, alike, name), data);
  return {
    student: own,
    teacher: taught,
    data: held(o.data, "the data"),
    evaluation: o.evaluation && held(o.evaluation, "the evaluation data"),
    notes: [...own.notes, ...(taught?.notes ?? [])],
  };
}

export const teacherFixOf = (o: Pick<DistillOptions, "fix" | "teacherFix">): Fix => ({
  ...o.fix,
  ...o.teacherFix,
});
