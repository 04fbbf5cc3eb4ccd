// Whole steps of a workload in a process of their own, and how much memory that process had at most, as one line of JSON.
// bench/peers/step.py does the same in PyTorch. `tsx bench/memory-ours.ts <workload> <threads> <steps>`.
import { createNodeRuntime } from "../src/runtime/ort-node.ts";
import { peakMegabytes } from "./measure.ts";
import { makeWorkload } from "./workload.ts";
import { type WorkloadName, workloads } from "./workloads.ts";

const [name, threads, steps] = process.argv.slice(2) as [WorkloadName, string, string];
const workload = await makeWorkload(workloads[name], createNodeRuntime({ threads: Number(threads) }));
for (let i = 0; i < Number(steps); i++) await workload.whole();
console.log(JSON.stringify({ megabytes: peakMegabytes() }));
