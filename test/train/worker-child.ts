// A run with its step in a worker, in a process of its own, left in the way that the first argument names. Says when, and how
// many threads of the process are left then (Linux), so that worker.test.ts sees whether it ends by itself.
import { readdirSync } from "node:fs";
import { buildModel, nn } from "../../src/index.ts";
import { distill } from "../../src/train/distill.ts";
import { bars, cnn } from "./helpers.ts";

const [how] = process.argv.slice(2);
const threads = (): number => (process.platform === "linux" ? readdirSync("/proc/self/task").length : 0);
/** Takes a tenth of a second or more at each step. */
const slow = buildModel(
  { input: { name: "input", dims: ["batch", 1, 16, 16] }, seed: 5 },
  nn.sequential(nn.conv(64, 3), nn.relu(), nn.conv(64, 3), nn.relu(), nn.globalAveragePool(), nn.linear(5)),
);
const common = { data: bars(256, 1), epochs: 2, learningRate: 0.01 } as const;
const options =
  how === "exit" ? { ...common, student: slow, batch: 128 } : { ...common, student: cnn, batch: 32 };
/** The same run in this thread first: ONNX Runtime and Node start threads of their own that stay. */
for await (const _ of distill({ ...options, worker: false }));
const before = threads();
const run = distill({ ...options, worker: true });
if (how === "abandon") {
  for (let event = await run.next(); event.value?.type !== "step"; ) event = await run.next();
  console.log("abandoned");
} else
  for await (const event of run) {
    if (event.type !== "step") continue;
    if (how === "break" && event.step === 3) break;
    if (how === "exit" && event.step === 1) setTimeout(() => process.exit(7), 20);
    if (how === "throw" && event.step === 3) throw new Error("the caller's");
  }
console.log(`left ${threads() - before} threads`);
