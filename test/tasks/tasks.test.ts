// How a task is chosen, and what is said where logits, names or options do not fit.
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/base/tensor.ts";
import { editDistance, greedyDecode } from "../../src/tasks/ctc.ts";
import { checkLogitsShape, type TaskName, taskNamed, taskNames, tasksOfRank } from "../../src/tasks/index.ts";

describe("tasks", () => {
  it("are found by name; near misses are named", () => {
    expect(taskNamed().name).toBe("classification");
    for (const name of taskNames) expect(taskNamed(name).name).toBe(name);
    expect(() => taskNamed("language-modeling" as TaskName)).toThrow(
      'task "language-modeling" is not known. Did you mean "language-modelling"? Known: classification, multi-label, regression, token-classification, language-modelling, ctc, segmentation.',
    );
  });

  it("refuse options of others", () => {
    expect(() => taskNamed("regression", { ignoreIndex: 3 })).toThrow(
      "task regression has no option ignoreIndex; it belongs to classification, token-classification, language-modelling, ctc, segmentation",
    );
    expect(() => taskNamed("classification", { huberDelta: 1 })).toThrow(
      "task classification has no option huberDelta; it belongs to regression",
    );
    expect(taskNamed("regression", { ignoreIndex: undefined, huberDelta: 2 }).strategy({})).toMatchObject({
      huberDelta: 2,
      outputs: "identity",
    });
  });

  it("have a strategy made for their outputs, with the options it has", () => {
    expect(() => taskNamed("regression").strategy({ temperature: 2 })).toThrow(
      "task regression has no temperature; leave it out",
    );
    for (const name of taskNames) {
      const task = taskNamed(name);
      const strategy = task.strategy({ alpha: 0.7, ...(name !== "regression" && { temperature: 2 }) });
      expect(strategy.outputs, name).toBe(task.outputs);
      expect(strategy.alpha, name).toBe(0.7);
      expect(strategy.temperature, name).toBe(name === "regression" ? 1 : 2);
    }
  });
});

describe("logits of another rank", () => {
  const check = (name: TaskName, dims: number[]) =>
    checkLogitsShape(taskNamed(name), dims, 'the student\'s logits "y" (s.onnx)', "--student-logits");

  it("are refused with the tasks that take them", () => {
    expect(() => check("classification", [8, 40, 97])).toThrow(
      'the student\'s logits "y" (s.onnx) are [8,40,97], task classification expects [N, C]; name the right value with --student-logits, or the task that takes such logits with --task: multi-label, regression, token-classification, language-modelling, ctc',
    );
    expect(() => check("ctc", [8, 97])).toThrow(
      'the student\'s logits "y" (s.onnx) are [8,97], task ctc expects [N, T, C] or [T, N, C]; name the right value with --student-logits, or the task that takes such logits with --task: classification, multi-label, regression',
    );
    expect(() => check("regression", [])).toThrow(
      'the student\'s logits "y" (s.onnx) are [], task regression expects [N, D]; name the right value with --student-logits',
    );
  });

  it("every rank from 1 to 5 has a task", () => {
    for (const rank of [1, 2, 3, 4, 5]) expect(tasksOfRank(rank).length, String(rank)).toBeGreaterThan(0);
  });
});

describe("ctc", () => {
  it("decodes greedily: repeats are one symbol unless a blank is between them", () => {
    expect(greedyDecode([0, 1, 1, 0, 1, 2, 2, 0], 0)).toEqual([1, 1, 2]);
    expect(greedyDecode([0, 1, 1, 0, 1, 2, 2, 0], 2)).toEqual([0, 1, 0, 1, 0]);
    expect(greedyDecode([3, 3, 3], 3)).toEqual([]);
  });

  it("counts edits", () => {
    const letters = (text: string) => Array.from(text, (c) => c.charCodeAt(0));
    for (const [a, b, edits] of [
      ["kitten", "sitting", 3],
      ["", "abc", 3],
      ["abc", "", 3],
      ["flaw", "lawn", 2],
      ["same", "same", 0],
    ] as const)
      expect(editDistance(letters(a), letters(b)), `${a} ${b}`).toBe(edits);
  });

  it("measures sequences: right ones, edits per symbol, agreement by sequence and by step", () => {
    const task = taskNamed("ctc", { blankIndex: 3 });
    // Two samples of four steps, classes 0 to 2 and the blank 3.
    const hot = (classes: number[]) => classes.flatMap((c) => [0, 1, 2, 3].map((k) => (k === c ? 1 : 0)));
    const rows = (classes: number[]) => tensor("float32", hot(classes), [8, 4]);
    const student = rows([0, 0, 3, 1, 2, 3, 3, 2]); // 0 1; 2 2
    const teacher = rows([0, 3, 1, 1, 2, 2, 3, 1]); // 0 1; 2 1
    const evaluator = task.evaluator();
    evaluator.add({
      rows: student,
      shape: [2, 4, 4],
      predictions: task.predictions(student),
      labels: tensor("int32", [0, 1, -100, 2, 1, 1], [2, 3]),
      teacher: task.predictions(teacher),
      source: { name: "data", samples: [0, 1] },
    });
    expect(evaluator.result().metrics).toEqual({
      sequenceAccuracy: 0.5,
      characterErrorRate: 2 / 5,
      sequenceAgreement: 0.5,
      agreement: 4 / 8,
    });
  });
});
