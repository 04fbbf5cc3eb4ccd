// A report of any task speaks of that task's metrics, in its own words.
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import type { ModelRow, ReportData } from "../../src/report/data.ts";
import { headline } from "../../src/report/headline.ts";
import { mainMeasure, measuresOf } from "../../src/report/measures.ts";
import { renderReport } from "../../src/report/render-report.ts";
import { type TaskName, taskNamed, taskNames } from "../../src/tasks/index.ts";
import { sampleReport } from "./sample-data.ts";

/** The sample run with other metrics: `base` at the teacher, a little less at the student. */
function report(task: TaskName, base: number): ReportData {
  const { confusion: _, perClass: __, ...rest } = sampleReport();
  const { metrics } = taskNamed(task);
  const measured = (value: number, role: ModelRow["role"]) =>
    Object.fromEntries(
      metrics.filter((k) => role === "student" || !/greement|teacher/.test(k)).map((k) => [k, value]),
    );
  return {
    ...rest,
    task,
    models: rest.models.map((m, i) => ({ ...m, metrics: measured(base - 0.1 * i, m.role) })),
    runs: rest.runs.map((run) => ({
      ...run,
      evaluations: run.evaluations.map((e) => ({ ...e, metrics: measured(base - 0.1, "student") })),
    })),
  };
}

const texts = (page: string, selector: string): string[] => {
  const { document } = parseHTML(page) as unknown as {
    document: { querySelectorAll(s: string): Iterable<{ textContent: string }> };
  };
  return [...document.querySelectorAll(selector)].map((e) => e.textContent.replaceAll("\u00a0", " "));
};

describe.each(taskNames)("%s", (name) => {
  const data = report(name, 0.9);
  const page = renderReport(data);

  it("has its metrics in the table, its main one in headline, tiles and charts", () => {
    const titles = measuresOf(data).map((m) => m.title);
    expect(texts(page, "#models thead th").slice(1, 1 + titles.length)).toEqual(titles);
    const main = mainMeasure(data, data.models[1])!;
    expect(main.key).toBe(taskNamed(name).monitors[0]);
    expect(texts(page, ".tiles dt")[0]).toBe(main.title);
    expect(texts(page, ".tiles dd")[1]).toBe(`teacher ${main.show(0.9)}, labels alone ${main.show(0.8)}`);
    expect(texts(page, ".headline")[0]).toContain(main.show(0.7));
    expect(page).not.toMatch(/NaN|undefined|\{\}|\{rows\}/);
  });

  it("shows no classes and mistakes where there are none", () => {
    expect(texts(page, "h2")).not.toContain("Classes and mistakes");
  });
});

describe("the headline", () => {
  const say = (task: TaskName, metrics: ModelRow["metrics"]) =>
    headline({
      task,
      models: [{ role: "student", label: "s", training: "distilled", metrics }],
    } as unknown as ReportData);

  it.each([
    ["segmentation", { meanIoU: 0.5 }, "reaches 50.0 % mean IoU"],
    ["segmentation", { agreement: 0.5 }, "agrees with its teacher on 50.0 % of the pixels"],
    ["regression", { mse: 0.0123 }, "reaches a mean squared error of 0.0123"],
    ["regression", { teacherMse: 2 }, "comes within a mean squared difference of 2 of its teacher"],
    ["language-modelling", { perplexity: 12.345 }, "reaches a perplexity of 12.3"],
    ["token-classification", { agreement: 1 }, "agrees with its teacher on 100.0 % of the tokens"],
    ["multi-label", { meanAveragePrecision: 0.25 }, "reaches 25.0 % mean average precision"],
    ["ctc", { sequenceAgreement: 0.75 }, "reads 75.0 % of the sequences as its teacher does"],
  ] as [TaskName, ModelRow["metrics"], string][])("of %s: %j", (task, metrics, text) => {
    expect(say(task, metrics)).toBe(`The distilled student ${text}.`);
  });

  it("knows that less may be better", () => {
    const student = (training: "labels" | "distilled", mse: number): ModelRow => ({
      role: "student",
      label: training,
      training,
      metrics: { mse },
    });
    const text = headline({
      task: "regression",
      models: [student("labels", 0.5), student("distilled", 0.25)],
    } as unknown as ReportData);
    expect(text).toBe(
      "The distilled student reaches a mean squared error of 0.25. Trained from labels alone, the same student reaches 0.5: distillation gained 0.25.",
    );
  });

  it("a task of a later version is read as a classification", () => {
    expect(measuresOf({ task: "of tomorrow" }).map((m) => m.key)).toEqual([
      "top1",
      "top5",
      "loss",
      "agreement",
    ]);
  });
});

it("a confusion matrix counts what the task's rows are", () => {
  const page = renderReport({ ...sampleReport(), task: "segmentation" });
  expect(texts(page, "#classes figcaption")[0]).toContain("figures count pixels.");
  expect(texts(page, "#classes .mistakes li")[0]).toMatch(/of its pixels$/);
});
