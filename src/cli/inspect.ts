// `onnx-distill inspect`: what is in a model, as tables or as JSON.

import { DistillError } from "../base/errors.ts";
import { formatBytes, formatCount } from "../base/format.ts";
import { formatShape } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { roleCells } from "../compile/role-table.ts";
import type { Model } from "../onnx/model.ts";
import { largeModel, readModelFile } from "../onnx/read-model-file.ts";
import { checkFixedNames, type Fix } from "../prepare/fixed-inputs.ts";
import { nodeRuntime } from "../runtime/ort-node.ts";
import { describeModel, type Gradient, type ModelDescription } from "./describe-model.ts";
import { type FixFlags, parseFix } from "./fix-option.ts";
import { pairModels, showPairs } from "./inspect-pairs.ts";
import { type CliIo, exitCodes } from "./io.ts";
import { table } from "./table.ts";

export interface InspectFlags extends FixFlags {
  batch?: number;
  size?: Record<string, number>;
  all?: boolean;
  json?: boolean;
}

/** Longer lists are folded without --all. */
const longList = 30;

/** One model, or the values of a teacher and a student that would be compared. */
export async function inspectCommand(
  path: string,
  student: string | undefined,
  flags: InspectFlags,
  io: CliIo,
): Promise<number> {
  const first = await readModelFile(path, { leaveFrom: largeModel });
  const second = student === undefined ? undefined : await readModelFile(student, { leaveFrom: largeModel });
  checkSizes(second ? [first, second] : [first], Object.keys(flags.size ?? {}));
  const fix = parseFix(flags.fix);
  const studentFix = parseFix(flags.studentFix, "--student-fix");
  const teacherFix = parseFix(flags.teacherFix, "--teacher-fix");
  checkFixedNames(fix ?? {}, second ? [first, second] : [first], "--fix");
  if (!second && (studentFix || teacherFix))
    throw new DistillError("E_OPTION", "--student-fix and --teacher-fix need two models; give --fix");
  checkFixedNames(teacherFix ?? {}, [first], "--teacher-fix");
  checkFixedNames(studentFix ?? {}, second ? [second] : [], "--student-fix");
  const found = await describe(first, flags, { ...fix, ...teacherFix });
  if (second) {
    const pairs = pairModels(found, await describe(second, flags, { ...fix, ...studentFix }));
    io.stdout.write(flags.json ? `${JSON.stringify(pairs)}\n` : showPairs(pairs));
  } else io.stdout.write(flags.json ? `${JSON.stringify(found)}\n` : show(found, flags.all === true));
  return exitCodes.ok;
}

function describe(model: Model, flags: InspectFlags, fix: Fix): Promise<ModelDescription> {
  return describeModel(model, {
    runtime: nodeRuntime,
    fix,
    ...(flags.batch !== undefined && { batch: flags.batch }),
    ...(flags.size && { sizes: flags.size }),
  });
}

/** E_OPTION for a size of a dimension that no input leaves open. */
function checkSizes(models: readonly Model[], given: readonly string[]): void {
  const names = models.flatMap((m) =>
    m.inputs.flatMap((i) => i.dims.map((d, axis) => (d === "?" ? `${i.name}[${axis}]` : d))),
  );
  const wrong = given.find((name) => !names.includes(name));
  if (wrong === undefined) return;
  const open = [...new Set(names.filter((d) => typeof d === "string"))];
  throw new DistillError(
    "E_OPTION",
    `${models.map((m) => m.source).join(" and ")}: no input leaves a dimension "${wrong}" open; open are: ${open.join(", ") || "none"}`,
  );
}

function show(m: ModelDescription, all: boolean): string {
  const opsets = Object.entries(m.opsets).map(([domain, version]) => `${domain} ${version}`);
  const statistics = m.statistics > 0 ? `, and ${formatCount(m.statistics)} running statistics` : "";
  const parts = [
    `${m.model}: ${formatBytes(m.bytes)}, opset ${opsets.join(", ")}, IR version ${m.irVersion}${m.producer ? `, made by ${m.producer}` : ""}\n`,
    `parameters: ${formatCount(m.parameters)} in ${formatCount(m.tensors)} tensors${statistics}\n`,
    `\ninputs\n${table(m.inputs.map(infoRow))}`,
    `\noutputs\n${table(m.outputs.map(infoRow))}`,
    m.tasks.length > 0 ? `  for --task ${m.tasks.join(", ")}\n` : "",
    `\nconstants as a training takes them (--freeze and --train overrule)\n${table(roleCells(m.roles, all ? Number.POSITIVE_INFINITY : undefined), [1, 2])}`,
    ...m.notes.map((note) => `\nnote: ${note}\n`),
    layers(m, all),
    taps(m, all),
    ops(m),
  ];
  return parts.join("");
}

const infoRow = (i: ValueInfo): string[] => [i.name, i.dtype, formatShape(i.dims)];

function layers(m: ModelDescription, all: boolean): string {
  const rows = m.layers.map((l, i) => [
    String(i + 1),
    l.op,
    l.name,
    l.shape ? formatShape(l.shape) : "?",
    l.parameters === 0 ? "" : formatCount(l.parameters),
  ]);
  const head = ["#", "op", "name", "output", "parameters"];
  const title = `\nlayers (${rows.length}), shapes for a batch of ${m.batch}\n`;
  if (all || rows.length <= longList) return title + table([head, ...rows], [0, 4]);
  const half = longList / 2;
  const hidden = rows.length - 2 * half;
  const dots = ["…", `${hidden} more`, "(--all shows them)", "", ""];
  return title + table([head, ...rows.slice(0, half), dots, ...rows.slice(-half)], [0, 4]);
}

function taps(m: ModelDescription, all: boolean): string {
  const shown = m.taps.filter((t) => all || t.suggested);
  if (shown.length === 0) return "\ntaps: none found\n";
  const rows = shown.map((t) => [
    t.suggested ? "*" : "",
    t.name,
    formatShape(t.shape),
    `${formatCount(t.neurons)} neurons x ${formatCount(t.positions)} per sample`,
  ]);
  const more = m.taps.length - shown.length;
  const rest = more > 0 ? `  and ${formatCount(more)} more that can be tapped (--all shows them)\n` : "";
  return `\ntaps (* good places to compare neurons: the last block of each resolution, or some of a transformer)\n${table(rows)}${rest}`;
}

const meaning: Record<Gradient, string> = {
  yes: "can be trained through",
  zero: "pass no gradient (it is zero everywhere)",
  no: "cannot be differentiated",
  unknown: "not known: a student must not need them (a teacher may)",
  front: "run as they stand before a step: no weight lies before them",
  folded: "computed from shapes and constants alone, need no gradient",
};

function ops(m: ModelDescription): string {
  const rows = (Object.keys(meaning) as Gradient[]).flatMap((kind) => {
    const list = m.ops.filter((o) => o.gradient === kind);
    return list.length === 0
      ? []
      : [
          [
            `${meaning[kind]}:`,
            list.map((o) => `${o.op} ×${o.count}${o.note ? ` (${o.note})` : ""}`).join(", "),
          ],
        ];
  });
  return `\nops\n${rows.map(([what, list]) => `  ${what}\n    ${list}\n`).join("")}`;
}
