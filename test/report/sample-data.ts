// A made-up but likely run (the demo's sizes), for the report's tests. Deterministic.
import type { Confusion, ReportData, RunSeries, SelectivityScores } from "../../src/report/data.ts";

/** Numbers in [0, 1) from a small generator; good enough to look noisy. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const CLASSES = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

export function sampleRun(
  label: string,
  steps: number,
  epochs: number,
  distilled: boolean,
  top1: number,
): RunSeries {
  const random = noise(distilled ? 1 : 2);
  const perEpoch = Math.max(1, Math.floor(steps / epochs));
  return {
    label,
    seconds: steps * 0.021,
    steps: Array.from({ length: steps }, (_, i) => {
      const t = (i + 1) / steps;
      const jitter = () => 0.85 + 0.3 * random();
      const hard = (0.38 + 1.9 * Math.exp(-t * 14)) * jitter();
      const soft = (0.9 + 6 * Math.exp(-t * 12)) * jitter();
      const selectivity = (0.004 + 0.9 * Math.exp(-t * 20)) * jitter();
      return {
        step: i + 1,
        epoch: Math.floor(i / perEpoch) + 1,
        learningRate: 0.05 * (1 + Math.cos(Math.PI * t)),
        losses: distilled
          ? {
              loss: 0.3 * hard + 0.7 * soft + selectivity,
              "loss/hard": hard,
              "loss/soft": soft,
              "loss/selectivity/layer3": selectivity,
            }
          : { loss: hard, "loss/hard": hard },
      };
    }),
    evaluations: Array.from({ length: epochs }, (_, e) => ({
      step: (e + 1) * perEpoch,
      epoch: e + 1,
      metrics: {
        top1: e === epochs - 1 ? top1 : top1 - 0.09 * Math.exp(-e / 2) + 0.006 * random(),
        top5: 0.998 - 0.01 * Math.exp(-e),
        loss: 0.34 + 0.2 * Math.exp(-e / 2),
        agreement: top1 + 0.01 - 0.08 * Math.exp(-e / 2),
      },
    })),
  };
}

export function sampleScores(tap: string, metric: string, neurons: number): SelectivityScores {
  const random = noise(neurons + metric.length);
  const top = metric === "sparsity" ? 1 : metric === "variance" ? 0.6 : 8;
  const teacher = Array.from({ length: neurons }, () =>
    metric === "variance" ? top * random() ** 3 * (random() < 0.05 ? 4 : 1) : top * (0.15 + 0.8 * random()),
  );
  const near = (spread: number) =>
    teacher.map((t) => Math.max(0, t + (random() - 0.5) * spread * (t + 0.1 * top)));
  return {
    tap,
    metric,
    samples: 2000,
    teacher,
    before: teacher.map(() => top * (0.25 + 0.1 * random())),
    labelsOnly: teacher.map(() => top * random() * 0.9),
    after: near(0.3),
  };
}

export function sampleConfusion(classes: number, label = "student, distilled"): Confusion {
  const random = noise(classes);
  const classNames = classes === 10 ? CLASSES : Array.from({ length: classes }, (_, i) => `class ${i}`);
  const rivals: Record<number, number[]> = {
    0: [6, 3],
    2: [4, 6],
    3: [0],
    4: [2, 6],
    5: [7],
    6: [0, 2, 4],
    7: [9],
    9: [7],
  };
  const counts = Array.from({ length: classes }, (_, i) => {
    const row = Array.from({ length: classes }, (): number => (random() < 2.5 / classes ? 1 : 0));
    for (const j of rivals[i] ?? []) row[j] = Math.round(5 + 22 * random() * (i === 6 ? 1.8 : 1));
    row[i] = 0;
    row[i] = 200 - row.reduce((a, b) => a + b, 0);
    return row;
  });
  return { label, classNames, counts };
}

export function sampleReport(
  options: { steps?: number; epochs?: number; neurons?: number } = {},
): ReportData {
  const { steps = 600, epochs = 6, neurons = 64 } = options;
  const confusion = sampleConfusion(10);
  const recall = confusion.counts.map((row, i) => row[i]! / 200);
  const random = noise(7);
  return {
    title: "Fashion-MNIST: a ResNet teaches a student a fraction of its size",
    created: "2026-11-24T09:30:00.000Z",
    command: "onnx-distill demo --out runs/demo --seed 1",
    config: {
      teacher: "assets/teacher.onnx",
      student: { arch: "small", channels: [8, 16, 64] },
      taps: { layer3: { teacher: "/stage3/relu", student: "/conv3/relu" } },
      strategy: { temperature: 3, alpha: 0.3, metric: "variance", selectivityWeight: 0.5 },
      optimizer: { name: "sgd", learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.0005 },
      epochs,
      batch: 128,
      seed: 1,
    },
    machine: {
      cpu: "AMD EPYC 7B13",
      cores: 2,
      memory: 8_200_000_000,
      os: "linux x64 6.1",
      node: "20.20.0",
      onnxruntime: "1.30.0, CPU",
    },
    evaluation: { name: "Fashion-MNIST test subset", samples: 2000 },
    models: [
      {
        role: "teacher",
        label: "teacher",
        parameters: 175_258,
        bytes: 712_344,
        msPerSample: 0.884,
        batch: 64,
        metrics: { top1: 0.9325, top5: 0.9991, loss: 0.2013 },
      },
      {
        role: "student",
        label: "student, labels alone",
        training: "labels",
        parameters: 11_234,
        bytes: 47_120,
        msPerSample: 0.061,
        batch: 64,
        metrics: { top1: 0.872, top5: 0.997, loss: 0.3577, agreement: 0.889 },
      },
      {
        role: "student",
        label: "student, distilled",
        training: "distilled",
        parameters: 11_234,
        bytes: 47_120,
        msPerSample: 0.061,
        batch: 64,
        metrics: { top1: 0.881, top5: 0.9975, loss: 0.3401, agreement: 0.903 },
      },
    ],
    runs: [
      sampleRun("student, labels alone", steps, epochs, false, 0.872),
      sampleRun("student, distilled", steps, epochs, true, 0.881),
    ],
    confusion,
    perClass: {
      classNames: CLASSES,
      models: [
        { label: "teacher", recall: recall.map((r) => Math.min(1, r + 0.05 * random())) },
        { label: "student, labels alone", recall: recall.map((r) => r - 0.04 * random()) },
        { label: "student, distilled", recall },
      ],
    },
    selectivity: [sampleScores("layer3", "variance", neurons), sampleScores("layer2", "sparsity", 16)],
    notes: [
      "The teacher's outputs were computed once and kept, because nothing augments the input.",
      "The last batch of each epoch (16 samples) was dropped.",
    ],
  };
}
