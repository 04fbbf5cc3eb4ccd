// Milliseconds per distillation step, ours and PyTorch's in turns, and where ours go.
//
//   npm run bench -- [--threads 2] [--rounds 8] [--per-round 5] [--no-peer] [--no-profile] [--out bench/results/step.json]
//
// PyTorch is measured where it is found: the interpreter in ONNX_DISTILL_PYTHON, or python3. Without it, ours alone.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createNodeRuntime } from "../src/runtime/ort-node.ts";
import { writeWhole } from "../src/train/run-folder.ts";
import { interleave, machine, type Side, type Spread, timed } from "./measure.ts";
import { Peer } from "./peer.ts";
import { type Profile, profileStep } from "./profile.ts";
import { makeWorkload, shape } from "./workload.ts";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "8" },
    "per-round": { type: "string", default: "5" },
    "no-peer": { type: "boolean", default: false },
    "no-profile": { type: "boolean", default: false },
    out: {
      type: "string",
      default: fileURLToPath(new URL("./results/step.json", import.meta.url)),
    },
  },
});
const threads = Number(values.threads);
const parts = ["teacher", "student", "whole"] as const;
const peers = { "PyTorch eager": "", "PyTorch channels_last": "/channels_last" };

const workload = await makeWorkload(createNodeRuntime({ threads }));
const peer = values["no-peer"] ? undefined : await Peer.python("step.py", [String(threads)]);
const results: Record<string, Record<string, Spread>> = {};
for (const part of parts) {
  const sides: Record<string, Side> = { "onnx-distill": timed(() => workload[part]()) };
  for (const [name, suffix] of Object.entries(peers)) if (peer) sides[name] = peer.side(part + suffix);
  results[part] = await interleave(sides, {
    rounds: Number(values.rounds),
    perRound: Number(values["per-round"]),
    warmUp: 5,
  });
}
peer?.close();
const profile = values["no-profile"]
  ? undefined
  : await profileStep(workload.compiled, workload.feeds, threads);
await workload.release();

const found = { ...machine(), threads, ...peer?.about };
console.log(
  Object.entries(found)
    .map(([k, v]) => `${k} ${v}`)
    .join(", "),
);
console.log(`ResNet 32-64-128 × 3 blocks teaches 16-32-64 × 1 block, ${JSON.stringify(shape)}`);
if (!peer && !values["no-peer"])
  console.log("(no PyTorch found: set ONNX_DISTILL_PYTHON to a Python that has it)");
printTimes();
if (profile) printProfile(profile);
mkdirSync(dirname(values.out), { recursive: true });
writeWhole(
  values.out,
  `${JSON.stringify({ date: new Date().toISOString(), machine: found, shape, results, profile }, null, 2)}\n`,
);
console.log(`\nwritten to ${values.out}`);

function printTimes(): void {
  console.log("\nmilliseconds, median (quartiles)");
  for (const part of parts) {
    const sides = results[part] ?? {};
    const ours = sides["onnx-distill"]?.median ?? Number.NaN;
    const cells = Object.entries(sides).map(
      ([
        name,
        {
          median,
          quartiles: [low, high],
        },
      ]) => {
        const relation =
          name === "onnx-distill" ? "" : `, ours runs at ${(median / ours).toFixed(2)} of its speed`;
        return `    ${name.padEnd(22)} ${median.toFixed(1).padStart(7)} (${low.toFixed(1)} – ${high.toFixed(1)})${relation}`;
      },
    );
    console.log(`  ${part}\n${cells.join("\n")}`);
  }
}

function printProfile({ byOp, byPart, nodes }: Profile): void {
  const total = byOp.reduce((a, o) => a + o.ms, 0);
  const share = (ms: number): string => `${((100 * ms) / total).toFixed(1).padStart(5)} %`;
  console.log(`\nour student's step by op, ${total.toFixed(1)} ms in kernels`);
  for (const { op, ms, calls } of byOp.filter((o) => o.ms > 0.003 * total))
    console.log(
      `  ${op.padEnd(24)} ${ms.toFixed(2).padStart(7)} ms ${share(ms)}  ${Math.round(calls).toString().padStart(4)} calls`,
    );
  console.log("by part");
  for (const { part, ms } of byPart)
    console.log(`  ${part.padEnd(24)} ${ms.toFixed(2).padStart(7)} ms ${share(ms)}`);
  console.log("largest nodes");
  for (const { node, op, ms } of nodes.slice(0, 15))
    console.log(`  ${ms.toFixed(2).padStart(7)} ms  ${op}  ${node}`);
}
