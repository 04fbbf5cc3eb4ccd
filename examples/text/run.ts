// Distils a transformer into a smaller one on real text: which of four documents of this repository a stretch
// of 64 characters comes from. The teacher is trained first, from labels; then the student, alone and distilled.
//
//   npx tsx examples/text/run.ts [--epochs 4] [--seed 0]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  arrayDataset,
  type Dataset,
  type DistillOptions,
  distill,
  type Model,
  nn,
  ResponseDistillationStrategy,
} from "../../src/index.ts";

const { values } = parseArgs({
  options: { epochs: { type: "string", default: "4" }, seed: { type: "string", default: "0" } },
});
const [epochs, seed] = [Number(values.epochs), Number(values.seed)];
const length = 64;
const vocabulary = 128; // Characters are their own tokens; what is not ASCII is token 0.

const sources = ["LICENSE", "docs/strategies.md", "docs/decisions.md", "docs/selectivity.md"];

/** Stretches of every source that begin every `step` characters between two shares of its length; as many of each source. */
function stretches(from: number, to: number, step: number): Dataset {
  const texts = sources.map((path) => {
    const whole = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8").replace(/\s+/g, " ");
    const text = whole.slice(from * whole.length, to * whole.length);
    return Array.from({ length: Math.floor((text.length - length) / step) }, (_, i) =>
      text.slice(i * step, i * step + length),
    );
  });
  const each = Math.min(...texts.map((t) => t.length));
  const rows = texts.flatMap((t, label) => t.slice(0, each).map((text) => ({ text, label })));
  const ids = BigInt64Array.from(
    rows.flatMap(({ text }) =>
      [...text].map((c) => BigInt(c.charCodeAt(0) < vocabulary ? c.charCodeAt(0) : 0)),
    ),
  );
  return arrayDataset({
    inputs: [{ name: "ids", dtype: "int64", dims: [rows.length, length], data: ids }],
    labels: rows.map((r) => r.label),
    classes: sources.length,
    classNames: sources,
  });
}

const transformer = (width: number, depth: number, name: string): Model =>
  nn.textTransformer({ vocabulary, length, width, depth, heads: 4, classes: sources.length, seed, name });

async function train(what: string, options: Partial<DistillOptions> & Pick<DistillOptions, "student">) {
  for await (const event of distill({
    data,
    evaluation: heldOut,
    optimizer: { name: "adamw" },
    learningRate: 2e-3,
    schedule: { warmup: 10 },
    batch: 32,
    epochs,
    seed,
    ...options,
  })) {
    if (event.type === "done") {
      const { top1 = 0, agreement } = event.metrics;
      const agrees =
        agreement === undefined ? "" : `, agrees with the teacher on ${(100 * agreement).toFixed(1)} %`;
      console.log(`${what}: ${(100 * top1).toFixed(1)} % right${agrees}, ${event.seconds.toFixed(0)} s`);
      return event.student;
    }
  }
  throw new Error("training ended without a student");
}

// The last fifth of each text is held out: nothing of it was seen.
const [data, heldOut] = [stretches(0, 0.8, 8), stretches(0.8, 1, 16)];
console.log(`${data.length} stretches of text to learn from, ${heldOut.length} held out`);
const teacher = await train("teacher, width 96, 3 blocks", {
  student: transformer(96, 3, "teacher"),
  epochs: 2 * epochs,
});
const student = () => transformer(32, 1, "student");
await train("student, width 32, 1 block, labels alone", { student: student() });
await train("student, width 32, 1 block, distilled", {
  student: student(),
  teacher,
  strategy: new ResponseDistillationStrategy({ temperature: 2, alpha: 0.3 }),
});
