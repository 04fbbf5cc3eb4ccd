// A teacher whose weights pass 2 GB, in external data: read, inspected, tapped and asked, and distilled from. Prints the most
// memory that the process had when each of them was done. The file is written by another process, and removed.
//
//   npx tsx bench/large-teacher.ts [layers] [folder]     (9 layers of 256 MiB; the folder for temporary files)
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "../src/base/format.ts";
import { inspectCommand } from "../src/cli/inspect.ts";
import { buildModel, type Dataset, distill, nn, nodeRuntime } from "../src/index.ts";
import { largeModel, readModelFile } from "../src/onnx/read-model-file.ts";
import { observe } from "../src/runtime/observe.ts";
import { modelTeacher } from "../src/train/teacher.ts";
import { writeLargeModel } from "../test/onnx/large-file.ts";
import { machine } from "./measure.ts";

const width = 8192;
const [first = "9", second = tmpdir()] = process.argv.slice(2);
if (first === "write") writeLargeModel(second, Number(process.argv[4]), "external", width);
else {
  const folder = mkdtempSync(join(second, "large-teacher-"));
  try {
    const path = join(folder, "teacher.onnx");
    execFileSync(process.execPath, ["--import", "tsx", fileURLToPath(import.meta.url), "write", path, first]);
    console.log(JSON.stringify(machine()));
    console.log(`${first} layers, ${formatBytes(statSync(`${path}.data`).size)} of external data`);
    await measure(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(path: string): Promise<void> {
  let began = performance.now();
  let last: number | undefined;
  const report = (part: string): void => {
    const peak = process.resourceUsage().maxRSS / 1024;
    const seconds = (performance.now() - began) / 1000;
    console.log(`${part.padEnd(36)} ${peak.toFixed(0).padStart(6)} MiB  ${seconds.toFixed(1).padStart(6)} s`);
    began = performance.now();
  };
  report("begun");
  const model = await readModelFile(path, { leaveFrom: largeModel });
  report("read");
  const input = { name: "x", dims: [width], dtype: "float32" } as const;
  const zeros = (n: number) =>
    ({ dtype: "float32", dims: [n, width], data: new Float32Array(n * width).fill(0.1) }) as const;
  const data: Dataset = {
    length: 32,
    inputs: [input],
    hasLabels: false,
    read: async (samples) => ({ inputs: [zeros(samples.length)] }),
  };
  await observe(model, nodeRuntime, { x: zeros(2) });
  report("observed");
  const silent = { write: () => true };
  await inspectCommand(path, undefined, {}, { stdout: silent, stderr: silent });
  report("inspected");
  const teacher = await modelTeacher(model, nodeRuntime, data, [{ name: "t", teacher: "relu1" }]);
  const said = await teacher.run([zeros(8)]);
  if (!said.taps.t?.data.length) throw new Error("no tap");
  await teacher.release();
  report("tapped and asked");
  const student = buildModel(
    { input: { name: "x", dims: ["N", width] }, seed: 0 },
    nn.sequential(nn.linear(8), nn.relu({ name: "t" }), nn.linear(width)),
  );
  const taps = [{ teacher: "relu1", student: "t", project: true }];
  for await (const event of distill({ teacher: path, student, data, batch: 8, epochs: 1, taps }))
    if (event.type === "step") last = event.losses.loss;
  if (!Number.isFinite(last)) throw new Error("no loss");
  report("distilled from, 4 steps");
}
