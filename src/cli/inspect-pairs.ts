// `onnx-distill inspect teacher.onnx student.onnx`: which values would be compared, in which form, and how to ask for them.
import { DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import type { TapCandidate } from "../taps/candidates.ts";
import { onePair, proposeTaps } from "../taps/propose-taps.ts";
import { commonForms, type TapForms, tellForm } from "../taps/tap-form.ts";
import type { ModelDescription } from "./describe-model.ts";
import { table } from "./table.ts";
import { quoted } from "./train-options.ts";

export interface InspectedPair {
  readonly teacher: TapCandidate;
  readonly student: TapCandidate;
  readonly forms?: TapForms;
  /** Why there is no common form. */
  readonly problem?: string;
}

export interface InspectedPairs {
  readonly teacher: string;
  readonly student: string;
  /** What is chosen for strategies that take unequal numbers of neurons. */
  readonly pairs: readonly InspectedPair[];
  /** What is chosen for those that don't. */
  readonly equalNeurons: readonly InspectedPair[];
  readonly notes: readonly string[];
}

export function pairModels(teacher: ModelDescription, student: ModelDescription): InspectedPairs {
  const propose = (equalNeurons: boolean) =>
    proposeTaps(teacher.taps, student.taps, { equalNeurons }).map(formed);
  return {
    teacher: teacher.model,
    student: student.model,
    pairs: propose(false),
    equalNeurons: propose(true),
    notes: [teacher, student].flatMap((m) => m.notes.map((note) => `${m.model}: ${note}`)),
  };
}

function formed(pair: { teacher: TapCandidate; student: TapCandidate }): InspectedPair {
  const side = (c: TapCandidate) => ({ dims: [1, ...c.shape.slice(1)], axis: c.axis });
  try {
    return { ...pair, forms: commonForms(side(pair.student), side(pair.teacher)) };
  } catch (error) {
    if (!(error instanceof DistillError)) throw error;
    return { ...pair, problem: error.message };
  }
}

export function showPairs(found: InspectedPairs): string {
  const same = JSON.stringify(found.pairs) === JSON.stringify(found.equalNeurons);
  return [
    `teacher ${found.teacher}\nstudent ${found.student}\n`,
    ...found.notes.map((note) => `\nnote: ${note}\n`),
    list(
      `\ntaps that --tap auto chooses${same ? "" : " for a loss that takes unequal numbers of neurons"}`,
      found.pairs,
    ),
    ...(same ? [] : [list("\ntaps that --tap auto chooses for any other loss", found.equalNeurons)]),
    ...onePair(found.pairs).map(
      ({ teacher, student }) =>
        `\nfor CKA alone, and where nothing is said of how to compare, one of them: ${quoted(`${teacher.name}:${student.name}`)}\n`,
    ),
  ].join("");
}

function list(title: string, pairs: readonly InspectedPair[]): string {
  if (pairs.length === 0) return `${title}: none\n`;
  const rows = pairs.flatMap(({ teacher, student, forms, problem }) => {
    const row = (who: string, c: TapCandidate, remark: string) => [
      who,
      c.name,
      formatShape(["N", ...c.shape.slice(1)]),
      `${c.neurons} neurons x ${c.positions}, depth ${c.depth.toFixed(2)}`,
      remark,
    ];
    const told = (side: "teacher" | "student", c: TapCandidate) =>
      (forms && tellForm(c.shape, forms[side])?.replace(/^\[.*?\] /, "")) ?? "";
    return [
      row(
        "teacher",
        teacher,
        [told("teacher", teacher), ...(forms?.doubts ?? [])].filter(Boolean).join("; "),
      ),
      row("student", student, problem ?? told("student", student)),
    ];
  });
  const options = pairs.map((p) => `  --tap ${quoted(`${p.teacher.name}:${p.student.name}`)}\n`);
  return `${title}\n${table(rows)}${options.join("")}`;
}
