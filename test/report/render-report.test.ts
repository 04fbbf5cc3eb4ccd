import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { formatNumber } from "../../src/base/format.ts";
import { commonestMistakes } from "../../src/report/confusion.ts";
import type { ReportData } from "../../src/report/data.ts";
import { flatten, renderReport } from "../../src/report/render-report.ts";
import { verdict } from "../../src/report/selectivity.ts";
import { sampleConfusion, sampleReport, sampleRun, sampleScores } from "./sample-data.ts";

/** Every tag closed in order, every attribute quoted: stricter than a browser. */
function expectWellFormed(page: string): void {
  const body = page.replace("<!doctype html>", "").replace(/<style>[^<]*<\/style>/, "");
  const open: string[] = [];
  for (const [tag] of body.matchAll(/<[^>]*>/g)) {
    const parts = /^<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z][a-z0-9-]*="[^"<]*")*)\s*(\/?)>$/i.exec(tag);
    if (!parts) throw new Error(`not a well-formed tag: ${tag}`);
    if (parts[1]) expect(open.pop()).toBe(parts[2]);
    else if (!parts[4]) open.push(parts[2]!);
  }
  expect(open).toEqual([]);
  expect(/[<>]/.exec(body.replace(/<[^>]*>/g, ""))).toBe(null);
}

function textOf(page: string, selector: string): string[] {
  const { document } = parseHTML(page) as unknown as {
    document: { querySelectorAll(s: string): Iterable<{ textContent: string }> };
  };
  return [...document.querySelectorAll(selector)].map((e) => e.textContent.replaceAll("\u00a0", " "));
}

/** What must never reach a reader or an attribute. */
const BROKEN = /NaN|Infinity|undefined|\[object|null/;

describe("a whole report", () => {
  const page = renderReport(sampleReport());

  it("is well-formed and complete", () => {
    expectWellFormed(page);
    expect(BROKEN.exec(page)).toBe(null);
    expect(textOf(page, "h2")).toEqual([
      "Models",
      "Neuron selectivity",
      "Progress over epochs",
      "Losses, term by term",
      "Accuracy against size",
      "Classes and mistakes",
      "Configuration",
      "Machine",
      "Notes",
    ]);
    expect(textOf(page, "figure h3")).toEqual(
      expect.arrayContaining([
        "Neuron by neuron",
        "Sorted scores",
        "Student against teacher",
        "Top-1 accuracy",
        "Total loss",
        "Selectivity loss at layer3",
        "Learning rate",
        "Accuracy and time per sample",
        "Confusion matrix: student, distilled",
        "Recall of each class",
      ]),
    );
  });

  it("loads nothing and runs nothing", () => {
    expect(page).not.toMatch(/https?:|\/\/|url\(|@import|<script|<link|<img|<iframe|\ssrc=|javascript:/i);
    for (const [, target] of page.matchAll(/href="([^"]*)"/g)) expect(target).toMatch(/^#[a-z]+$/);
  });

  it("has light and dark colours and a print form", () => {
    expect(page).toContain("prefers-color-scheme:dark");
    expect(page).toContain("@media print");
    // A colour fixed in a chart would vanish in one of the themes.
    expect(page.replace(/<style>[^<]*<\/style>/, "")).not.toMatch(/(fill|stroke)="(#|rgb|black|white)/);
  });

  it("says the result first, and figures agree with the table", () => {
    expect(textOf(page, ".headline")[0]).toMatch(
      /88\.1 % top-1 .* 15\.6 times fewer .* gained 0\.9 points\.$/,
    );
    expect(textOf(page, "#models tbody tr").at(-1)).toBe(
      "student, distilled88.10 %99.75 %0.340190.30 %11,23447.1 kB61 µs64",
    );
  });

  it("tells each neuron's scores on hover", () => {
    const { teacher, before, after, labelsOnly } = sampleReport().selectivity![1]!;
    const [t, b, l, a] = [teacher, before, labelsOnly!, after].map((scores) => formatNumber(scores[15]));
    expect(textOf(page, "title")).toContain(
      `neuron 15: teacher ${t}, student before training ${b}, student, labels alone ${l}, student after distillation ${a}`,
    );
  });

  it("renders what went through JSON the same", () => {
    const data = sampleReport();
    data.runs[0]!.steps[3]!.losses.loss = Number.NaN;
    data.selectivity![0]!.after[2] = Number.NaN;
    const again = renderReport(JSON.parse(JSON.stringify(data)) as ReportData);
    // Not toBe: a difference would print two whole pages.
    expect(again === renderReport(data)).toBe(true);
    expect(BROKEN.exec(again)).toBe(null);
    expect(textOf(again, "figcaption")).toContain("1 value was not finite and is left out.");
    expect(textOf(again, "#selectivity th")).toContain("not finite");
  });
});

it("escapes names from users' files wherever they stand", () => {
  const evil = `<img src=x onerror=alert(1)>"'&]]>\0\u001b[31m`;
  const data = sampleReport();
  const replaced = JSON.parse(
    JSON.stringify(data).replace(
      /"(teacher|student, distilled|student, labels alone|layer3|layer2|Shirt|small)"/g,
      () => JSON.stringify(evil),
    ),
  ) as ReportData;
  Object.assign(replaced, {
    title: evil,
    created: evil,
    command: evil,
    notes: [evil],
    evaluation: { name: evil },
  });
  replaced.machine = { cpu: evil };
  replaced.models = data.models.map((m, i) => ({ ...m, label: `${evil}${i}` }));
  replaced.config = { [evil]: evil };
  replaced.selectivity = [{ ...sampleScores(evil, "variance", 4), metric: evil }];
  replaced.runs[0]!.steps[0]!.losses[evil] = 1;
  replaced.runs[0]!.evaluations[0]!.metrics[evil] = 1;
  Object.assign(replaced.runs[0]!.evaluations[0]!.metrics, { toString: 1 });
  const page = renderReport(replaced);
  expectWellFormed(page);
  expect(page).not.toContain("<img");
  expect([...page].filter((c) => c < " " && c !== "\n")).toEqual([]);
  expect(textOf(page, "h1")[0]).toBe(evil.replace("\0", " ").replace("\u001b", " "));
});

const cases = incompleteReports();

describe("missing pieces", () => {
  it.each(Object.entries(cases))("%s", (_, data) => {
    const page = renderReport(data);
    expectWellFormed(page);
    expect(BROKEN.exec(page)).toBe(null);
  });

  it("leaves out sections without data", () => {
    expect(textOf(renderReport(cases.nothing!), "h2")).toEqual([]);
    expect(textOf(renderReport(cases["no teacher"]!), "h2")).toEqual([
      "Models",
      "Progress over epochs",
      "Losses, term by term",
      "Notes",
    ]);
  });
});

function incompleteReports(): Record<string, ReportData> {
  const full = sampleReport();
  const bare: ReportData = { title: "t", created: "", models: [], runs: [] };
  const [teacher, alone, distilled] = full.models;
  const run = (steps: number, epochs: number) => sampleRun("student, distilled", steps, epochs, true, 0.88);
  const scores = sampleScores("a", "variance", 8);
  return {
    nothing: bare,
    "no teacher": { ...bare, models: [alone!], runs: [run(20, 2)] },
    "no labels": {
      ...bare,
      models: [
        { ...teacher!, metrics: {} },
        { ...distilled!, metrics: { agreement: 0.9 } },
      ],
    },
    "a teacher alone": { ...bare, models: [teacher!] },
    "empty runs": { ...bare, runs: [{ label: "r", steps: [], evaluations: [] }] },
    "one step, one epoch": { ...bare, models: [distilled!], runs: [run(1, 1)] },
    constants: {
      ...bare,
      models: full.models.map((m) => ({
        ...m,
        parameters: 5,
        bytes: 5,
        msPerSample: 5,
        metrics: { top1: 1 },
      })),
      runs: [
        {
          label: "r",
          steps: [1, 2, 3].map((step) => ({ step, learningRate: 0, losses: { loss: 0 } })),
          evaluations: [1, 2].map((epoch) => ({ step: epoch, epoch, metrics: { top1: 1, loss: 0 } })),
        },
      ],
      selectivity: [
        { ...scores, teacher: Array(8).fill(0), before: Array(8).fill(0), after: Array(8).fill(0) },
      ],
    },
    "nothing finite": {
      ...bare,
      models: full.models.map((m) => ({
        ...m,
        parameters: Number.NaN,
        bytes: Number.POSITIVE_INFINITY,
        msPerSample: null,
        metrics: { top1: Number.NaN, loss: Number.POSITIVE_INFINITY },
      })),
      runs: [
        {
          label: "r",
          seconds: Number.NaN,
          steps: [{ step: 1, learningRate: null, losses: { loss: Number.NaN } }],
          evaluations: [{ step: 1, epoch: 1, metrics: { top1: null } }],
        },
      ],
      selectivity: [{ ...scores, teacher: Array(8).fill(null), after: Array(8).fill(Number.NaN) }],
      perClass: { classNames: ["a"], models: [{ label: "r", recall: [null] }] },
    },
    "scores of no neuron": { ...bare, selectivity: [{ ...scores, teacher: [], before: [], after: [] }] },
    "scores of one neuron": { ...bare, selectivity: [sampleScores("a", "peak-to-average", 1)] },
    "different numbers of neurons": { ...bare, selectivity: [{ ...scores, before: [1, 2], after: [1, 2] }] },
    "scores that explode": { ...bare, selectivity: [{ ...scores, after: [1e10, 0, 1, 2, 3, 4, 5, 6] }] },
    "a class without samples or name": {
      ...bare,
      confusion: {
        label: "s",
        classNames: ["a"],
        counts: [
          [3, 1],
          [0, 0],
        ],
      },
    },
    "no mistakes": { ...bare, confusion: { label: "s", classNames: ["a"], counts: [[3]] } },
    "no classes": { ...bare, confusion: { label: "s", classNames: [], counts: [] } },
    "no samples": {
      ...bare,
      confusion: {
        label: "s",
        classNames: ["a", "a"],
        counts: [
          [0, 0],
          [0, 0],
        ],
      },
    },
  };
}

it("compares no neuron with another where teacher and student have different numbers of them", () => {
  const page = renderReport(cases["different numbers of neurons"]!);
  expect(textOf(page, "#selectivity figure h3")).toEqual(["Sorted scores"]);
  expect(textOf(page, "#selectivity tbody tr").at(-1)).toBe("student after distillation––1.5");
  expect(textOf(page, "#selectivity p").join(" ")).not.toContain("Training");
});

describe("large runs", () => {
  it("5,000 steps, 1,024 neurons: below 1.5 MB", () => {
    const data = sampleReport({ steps: 5000, epochs: 30, neurons: 1024 });
    data.selectivity!.push(sampleScores("b", "sparsity", 256), sampleScores("c", "peak-to-average", 80));
    const page = renderReport(data);
    expect(page.length).toBeLessThan(1_500_000);
    expect(textOf(page, "#selectivity .caption")).toContain(
      "1,024 neurons are too many to draw one by one; the charts below show them together.",
    );
    expect(textOf(page, "#selectivity figure h3").filter((t) => t === "Neuron by neuron").length).toBe(3);
  });

  it("100,000 steps take no more room than 5,000", () => {
    const size = (steps: number) =>
      renderReport({ ...sampleReport(), runs: sampleReport({ steps }).runs }).length;
    expect(size(100_000)).toBeLessThan(size(5000) * 1.1);
  });

  it("a thousand classes: the commonest mistakes instead of a heat map", () => {
    const { perClass: _, ...data } = sampleReport();
    const page = renderReport({ ...data, confusion: sampleConfusion(1000) });
    expect(page.length).toBeLessThan(1_500_000);
    expect(textOf(page, "#classes h3")).toEqual(["Commonest mistakes", "Recall of each class"]);
    expect(textOf(page, "#classes figcaption").at(-1)).toContain("the 40 hardest of 1,000 classes");
  });
});

it("counts mistakes, most frequent first, as a share of the true class", () => {
  const counts = [
    [8, 2, 0],
    [5, 15, 0],
    [0, 2, 2],
  ];
  expect(commonestMistakes({ label: "s", classNames: ["a", "b", "c"], counts }, 2)).toEqual([
    { actual: "b", taken: "a", count: 5, share: 0.25 },
    { actual: "c", taken: "b", count: 2, share: 0.5 },
  ]);
});

describe("verdict", () => {
  const scores = (before: number, after: number) =>
    verdict({
      tap: "a",
      metric: "variance",
      teacher: [1, 1],
      before: [1 + before, 1 - before],
      after: [1 + after, 1],
    });
  it.each([
    [
      "nearer",
      0.4,
      0.2,
      "Training brought the mean squared difference to the teacher down from 0.16 to 0.02, 8.0 times smaller.",
    ],
    [
      "farther",
      0.1,
      0.2,
      "Training brought the mean squared difference to the teacher up from 0.01 to 0.02, 2.0 times larger.",
    ],
    ["equal", 0.1, Math.SQRT2 / 10, "Training left the mean squared difference to the teacher at 0.01."],
    ["exact", 0.1, 0, "Training brought the mean squared difference to the teacher down from 0.01 to 0."],
  ])("%s", (_, before, after, text) => {
    expect(scores(before, after)).toBe(text);
  });
});

it("flattens a configuration", () => {
  expect(flatten({ a: { b: [1, 2], c: {} }, d: null, e: undefined, f: [{ g: 1 }], h: true })).toEqual([
    ["a.b", "1, 2"],
    ["a.c", "{}"],
    ["d", "null"],
    ["f", '[{"g":1}]'],
    ["h", "true"],
  ]);
});
