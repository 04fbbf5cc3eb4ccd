// The option classMap: which of a teacher's classes each of the student's is, so that a teacher of many classes teaches a student
// of some of them, of the same in another order, or of coarser ones.
import { DistillError } from "../base/errors.ts";
import { neuronAxis } from "../base/layout.ts";
import { formatShape, sizeOf, type Tensor } from "../base/tensor.ts";
import type { Task } from "../tasks/index.ts";
import type { Teacher } from "./teacher.ts";

/** For each of the student's classes the teacher's class, counted from 0, or several that it takes together. */
export type ClassMap = readonly (number | readonly number[])[];

/** Every entry as a list. Errors: E_OPTION without a teacher, or where the task has none; E_ARGUMENT for what is no map. */
export function resolveClassMap(
  map: ClassMap | undefined,
  task: Task,
  hasTeacher: boolean,
): readonly (readonly number[])[] | undefined {
  if (map === undefined) return undefined;
  if (!hasTeacher) throw new DistillError("E_OPTION", "distill: classMap needs a teacher");
  const bad = (why: string): never => {
    throw new DistillError("E_ARGUMENT", `distill: classMap${why}`);
  };
  if (!Array.isArray(map) || map.length === 0)
    bad(
      ` must be an array with one of the teacher's classes for each of the student's, got ${JSON.stringify(map)}`,
    );
  const owner = new Map<number, number>();
  return map.map((entry: number | readonly number[], i) => {
    const classes = Array.isArray(entry) ? [...(entry as number[])] : [entry as number];
    if (classes.length === 0 || !classes.every((c) => Number.isInteger(c) && c >= 0))
      bad(
        `[${i}] must be one of the teacher's classes, counted from 0, or several, got ${JSON.stringify(entry)}; of a class that the teacher does not know it has nothing to teach: leave the teacher out, or give it a class that is near`,
      );
    if (classes.length > 1 && task.outputs !== "softmax")
      bad(
        `[${i}] takes ${classes.length} classes together, which task ${task.name} has no rule for; name one`,
      );
    for (const c of classes) {
      const other = owner.get(c);
      if (other !== undefined)
        bad(` gives the teacher's class ${c} to the student's ${other} and ${i}; name it once`);
      owner.set(c, i);
    }
    return classes;
  });
}

/**
 * The teacher with the student's classes: logits picked by `map`. Several taken together are as probable as they are in sum:
 * log Σ exp of their logits. A softmax over what was picked is the teacher's, given that it is one of these.
 *
 * Error, when asked: E_OPTION for a class that the teacher does not have.
 */
export function withClassMap(teacher: Teacher, map: readonly (readonly number[])[]): Teacher {
  const { run, logits } = teacher;
  const mapped: Pick<Teacher, "run" | "logits"> = {
    run: async (...asked) => {
      const said = await run(...asked);
      return { ...said, logits: mapClasses(said.logits, map) };
    },
    logits: async (...asked) => mapClasses(await logits(...asked), map),
  };
  // With its getters: what else it knows may change as it is asked.
  return Object.assign(
    Object.defineProperties({} as Teacher, Object.getOwnPropertyDescriptors(teacher)),
    mapped,
  );
}

/** Logits with the samples in front, as the task takes them. */
export function mapClasses({ dtype, dims, data }: Tensor, classMap: ClassMap): Tensor {
  const map = classMap.map((c) => (typeof c === "number" ? [c] : c));
  const axis = dims.length > 1 ? neuronAxis(dims.length) : dims.length;
  const classes = dims[axis] ?? 1;
  const unknown = map.flat().find((c) => c >= classes);
  if (unknown !== undefined)
    throw new DistillError(
      "E_OPTION",
      `classMap names the teacher's class ${unknown}, its logits are ${formatShape(dims)}: it has classes 0 to ${classes - 1}`,
    );
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const from = data as Float32Array;
  const to = new Float32Array(outer * map.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const picked of map)
      for (let i = 0; i < inner; i++, at++)
        to[at] = logSumExp(picked, (c) => from[(o * classes + c) * inner + i] as number);
  return { dtype, dims: dims.with(axis, map.length), data: to };
}

function logSumExp(picked: readonly number[], logit: (c: number) => number): number {
  const [only] = picked as [number];
  if (picked.length === 1) return logit(only);
  const top = picked.reduce((a, c) => Math.max(a, logit(c)), -Infinity); // NaN stays NaN
  if (!Number.isFinite(top)) return top;
  return top + Math.log(picked.reduce((sum, c) => sum + Math.exp(logit(c) - top), 0));
}

/** What the user should know of it. */
export function classMapNotes(map: readonly (readonly number[])[] | undefined): string[] {
  if (!map) return [];
  const each = map.map((c) => c.join("+"));
  const short = each.length > 12 ? [...each.slice(0, 11), `… ${each.at(-1)}`] : each;
  return [
    `the student's classes 0 to ${map.length - 1} are the teacher's ${short.join(", ")}; its others are left out`,
  ];
}
