// Why a loss on outputs is infinite: one side rules out a class, by a logit of −∞, that the other does not. Looked at only once
// a loss came out so.
import { DistillError } from "../../base/errors.ts";
import type { CheckedLogits } from "../strategy-base.ts";
import { TemperedRow } from "./tempered-row.ts";

/** Throws `E_NOT_FINITE` naming the first such class; returns where there is none. `hard`: the loss on labels. */
export function checkPossible(
  owner: string,
  { student, teacher, labels }: CheckedLogits,
  hard: number,
): void {
  const { rows, columns } = student;
  const p = (data: typeof student.data, r: number, c: number): string =>
    Math.exp(new TemperedRow(columns, 1, false).read(data, r * columns)[c]!).toPrecision(3);
  for (let i = 0; i < rows * columns; i++) {
    const [r, c] = [Math.floor(i / columns), i % columns];
    const [s, t, y] = [student.data[i]!, teacher.data[i]!, labels?.data[i] ?? 0];
    const fail = (who: string, what: string): never => {
      throw new DistillError(
        "E_NOT_FINITE",
        `${owner}: ${who} is -Infinity at row ${r}, column ${c}, a class to which ${what}, so the loss is infinite; rule it out on both sides, or give it a finite logit`,
      );
    };
    if (s === -Infinity && hard === Infinity && y > 0) fail("studentLogits", `labels give ${y}`);
    if (hard === Infinity || (s === -Infinity) === (t === -Infinity)) continue;
    if (s === -Infinity) fail("studentLogits", `teacherLogits give ${p(teacher.data, r, c)}`);
    fail("teacherLogits", `studentLogits give ${p(student.data, r, c)}`);
  }
}
