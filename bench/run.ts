// What a distillation costs, ours and the peers' in turns, and where ours goes.
//
//   npm run bench -- [ceilings resnet vit bert mlp classes javascript memory demo scaling nodes]
//                    [--threads 2] [--rounds 8] [--per-round 5] [--demo-runs 3] [--no-peer]
//                    [--no-profile] [--out bench/results]
//
// Without names, all of them. PyTorch is measured where it is found: the interpreter in ONNX_DISTILL_PYTHON, or python3;
// TensorFlow.js and jax-js where `npm install` has been run in bench/. ONNX_DISTILL_CLOCK=cpu
// measures processor time, for machines that others use as well (with --threads 1). Each result is a JSON file;
// `npx tsx bench/table.ts` writes them into docs/performance.md.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createNodeRuntime } from "../src/runtime/ort-node.ts";
import { writeWhole } from "../src/train/run-folder.ts";
import { ceilings as plainWork } from "./ceilings.ts";
import { classCall, classSizes, classTypes } from "./classes.ts";
import { clock, interleave, machine, type Side, type Spread, spreadOf, timed } from "./measure.ts";
import { type NodeKind, nodeCounts, nodeKinds, partsOf } from "./nodes.ts";
import { Peer, runPython, runScript } from "./peer.ts";
import { type Profile, profileStep } from "./profile.ts";
import { makeWorkload } from "./workload.ts";
import { resnetStudent, type WorkloadName, type WorkloadSpec, workloads } from "./workloads.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "8" },
    "per-round": { type: "string", default: "5" },
    "demo-runs": { type: "string", default: "3" },
    "no-peer": { type: "boolean", default: false },
    "no-profile": { type: "boolean", default: false },
    out: { type: "string", default: fileURLToPath(new URL("./results", import.meta.url)) },
  },
});
const threads = Number(flags.threads);
const turns = { rounds: Number(flags.rounds), perRound: Number(flags["per-round"]), warmUp: 5 };
const ours = "onnx-distill";

/** By part, then by side. */
type Times = Record<string, Record<string, Spread>>;

const sections: Record<string, () => Promise<void>> = {
  ceilings,
  ...Object.fromEntries(Object.keys(workloads).map((name) => [name, () => step(name as WorkloadName)])),
  classes,
  javascript,
  memory,
  demo,
  scaling,
  nodes,
};
const unknown = positionals.filter((name) => !(name in sections));
if (unknown.length > 0)
  throw new Error(`no benchmark "${unknown.join(", ")}"; there are ${Object.keys(sections).join(", ")}`);
for (const name of positionals.length > 0 ? positionals : Object.keys(sections)) await sections[name]?.();

/** One workload's distillation step, in its parts. */
async function step(name: WorkloadName): Promise<void> {
  const spec: WorkloadSpec = workloads[name];
  console.log(`\n${name}: ${spec.title}`);
  const workload = await makeWorkload(spec, createNodeRuntime({ threads }));
  const peer = await peerFor("step.py", name);
  const layouts =
    spec.tap && peer
      ? { "PyTorch eager": "", "PyTorch channels_last": "/channels_last" }
      : { "PyTorch eager": "" };
  const times: Times = {};
  for (const part of ["teacher", "student", "whole", "kept"] as const) {
    const sides: Record<string, Side> = { [ours]: timed(() => workload[part]()) };
    for (const [side, suffix] of Object.entries(layouts)) if (peer) sides[side] = peer.side(part + suffix);
    times[part] = await interleave(sides, turns);
    printTimes(part, times[part]);
  }
  const peerProfile = flags["no-profile"] ? undefined : await peer?.ask("profile", 10);
  peer?.close();
  let profile: Profile | undefined;
  if (!flags["no-profile"]) {
    profile = await profileStep(workload.compiled, workload.feeds, threads);
    printProfile(profile);
  }
  await workload.release();
  save(name, { title: spec.title, times, profile, peerProfile, ...about(peer) });
}

/** What the processor can do at best. */
async function ceilings(): Promise<void> {
  console.log("\nceilings: plain work, at best");
  const peer = await peerFor("ceilings.py");
  const rows: Record<string, unknown>[] = [];
  for (const [part, { title, giga, unit, side }] of Object.entries(
    await plainWork(createNodeRuntime({ threads })),
  )) {
    const sides: Record<string, Side> = { [ours]: side };
    if (peer) sides.PyTorch = peer.side(part);
    const times = await interleave(sides, turns);
    // The quickest quarter: a ceiling is what is possible, not what is usual.
    const rates = Object.fromEntries(
      Object.entries(times).map(([name, { quartiles }]) => [name, (1000 * giga) / quartiles[0]]),
    );
    rows.push({ part, title, unit, rates });
    const text = Object.entries(rates).map(([name, rate]) => `${name} ${rate.toFixed(1)} ${unit}`);
    console.log(`  ${title}: ${text.join(", ")}`);
  }
  peer?.close();
  save("ceilings", { title: "plain work, at best", rows, ...about(peer) });
}

/**
 * The student's step of "resnet" in TensorFlow.js and jax-js: once after a warm-up, because a step takes them seconds to
 * minutes. TensorFlow.js's cpu backend gets an eighth of the batch, of which the time for the whole is taken.
 */
async function javascript(): Promise<void> {
  console.log("\njavascript: the resnet student's step in other JavaScript libraries, milliseconds");
  const workload = await makeWorkload(workloads.resnet, createNodeRuntime({ threads }));
  const own = timed(() => workload.student());
  const peers: [string, string, string, string[], number][] = [
    ["TensorFlow.js wasm, its weight gradient written by hand", "tfjs.mjs", "@tensorflow/tfjs", ["wasm"], 1],
    ["TensorFlow.js cpu", "tfjs.mjs", "@tensorflow/tfjs", ["cpu", "8"], 8],
    ["jax-js wasm", "jax-js.mjs", "@jax-js/jax", [], 1],
  ];
  const times: Times[string] = {};
  const versions: Record<string, unknown> = {};
  await own(5);
  const mine: number[] = [];
  for (const [name, script, packageName, args, factor] of peers) {
    if (flags["no-peer"]) continue;
    const peer = await Peer.node(script, packageName, args);
    if (!peer) {
      console.log(`  (${packageName} is not installed: npm install in bench/)`);
      continue;
    }
    const side = peer.side("student");
    await side(1);
    mine.push(...(await own(10)));
    const [quick] = await side(1);
    // Slow ones are not asked again.
    const ms = [quick as number, ...((quick as number) < 5000 ? await side(4) : [])];
    times[name] = spreadOf(ms.map((t) => t * factor));
    peer.close();
    Object.assign(versions, peer.about);
  }
  times[ours] = spreadOf(mine.length > 0 ? mine : await own(10));
  await workload.release();
  printTimes("student", times);
  save("javascript", { title: "the resnet student's step", times: { student: times }, ...about(), versions });
}

/** Peak memory of whole steps of "resnet" in processes of their own; the demo's is measured with it. */
async function memory(): Promise<void> {
  console.log("\nmemory: 10 whole steps of resnet in a process of its own, the most that it had");
  const args = ["resnet", String(threads)];
  const figures: Record<string, Record<string, number>> = {
    [ours]: runScript("memory-ours.ts", [...args, "10"]),
  };
  const peer = flags["no-peer"] ? undefined : runPython("step.py", [...args, "--memory", "10"]);
  if (peer) figures["PyTorch eager"] = peer;
  for (const [side, { megabytes }] of Object.entries(figures))
    console.log(`  ${side.padEnd(22)} ${megabytes?.toFixed(0)} MiB`);
  save("memory", { title: "peak memory of 10 whole steps of resnet", figures, ...about() });
}

/** The public class on arrays; ours has one thread. */
async function classes(): Promise<void> {
  console.log("\nclasses: computeIntermediateLoss and computeIntermediateGradient, variance");
  const peer = await peerFor("classes.py");
  const times: Times = {};
  for (const size of classSizes)
    for (const type of classTypes) {
      const part = `${size}/${type}`;
      const call = classCall(size, type);
      const sides: Record<string, Side> = { [ours]: timed(async () => call()) };
      if (peer) sides["PyTorch autograd"] = peer.side(part);
      times[part] = await interleave(sides, turns);
      printTimes(part, times[part]);
    }
  peer?.close();
  save("classes", { title: "the public class on arrays", times, ...about(peer) });
}

/** Whole processes, one after the other, several times in turn. */
async function demo(): Promise<void> {
  const epochs = 3;
  console.log(`\ndemo: the distilled half of the demo, ${epochs} epochs, as a process of its own`);
  const args = [String(threads), String(epochs)];
  const sides: Record<string, () => Record<string, number> | undefined> = {
    [ours]: () => runScript("demo-ours.ts", args),
    "PyTorch, teacher at each step": () => (flags["no-peer"] ? undefined : runPython("demo.py", args)),
    "PyTorch, teacher's outputs kept": () =>
      flags["no-peer"] ? undefined : runPython("demo.py", [...args, "--cached"]),
  };
  const runs: Record<string, Record<string, number>[]> = {};
  for (let i = 0; i < Number(flags["demo-runs"]); i++)
    for (const [side, run] of Object.entries(sides)) {
      const found = run();
      if (found) (runs[side] ??= []).push(found);
    }
  const figures = Object.fromEntries(
    Object.entries(runs).map(([side, found]) => [
      side,
      Object.fromEntries(Object.keys(found[0]!).map((key) => [key, middle(found.map((f) => f[key]!))])),
    ]),
  );
  for (const [side, f] of Object.entries(figures))
    console.log(
      `  ${side.padEnd(32)} ${Object.entries(f)
        .map(([k, v]) => `${k} ${v.toFixed(2)}`)
        .join("  ")}`,
    );
  save("demo", { title: `the distilled half of the demo, ${epochs} epochs`, figures, ...about() });
}

/** The student's step by batch, by width of its first stage, and by threads. */
async function scaling(): Promise<void> {
  console.log("\nscaling: the resnet student's step, milliseconds");
  const rows: { batch: number; width: number; threads: number; ms: number }[] = [];
  const sizes = [
    ...[16, 32, 64, 128, 256, 512].map((batch) => ({ batch, width: 16 })),
    ...[8, 32].map((width) => ({ batch: 64, width })),
  ];
  // Processor time does not tell what a second thread gains.
  for (const { batch, width } of sizes)
    for (const count of clock === "cpu" ? [1] : [1, 2]) {
      const spec = { ...workloads.resnet, student: () => resnetStudent(width) };
      const workload = await makeWorkload(spec, createNodeRuntime({ threads: count }), batch);
      const side = { [ours]: timed(() => workload.student()) };
      const { median } = (await interleave(side, { rounds: 3, perRound: 3, warmUp: 3 }))[ours]!;
      await workload.release();
      rows.push({ batch, width, threads: count, ms: median });
      console.log(
        `  batch ${String(batch).padStart(3)}, width ${String(width).padStart(2)}, ${count} threads  ${median.toFixed(1).padStart(7)}  ${((1000 * batch) / median).toFixed(0)} samples/s`,
      );
    }
  save("scaling", { title: "the resnet student's step by batch, width and threads", rows, ...about() });
}

/** What a student costs before it trains, by its number of nodes: the least of three, after one to warm up. */
async function nodes(): Promise<void> {
  console.log("\nnodes: microseconds for each node of a student");
  const runtime = createNodeRuntime({ threads });
  const rows: { kind: NodeKind; nodes: number; ms: Record<string, number> }[] = [];
  for (const kind of Object.keys(nodeKinds) as NodeKind[])
    for (const count of nodeCounts) {
      await partsOf(kind, Math.min(count, 1000), runtime);
      const ms = await partsOf(kind, count, runtime);
      for (let i = 0; i < 2; i++)
        for (const [part, again] of Object.entries(await partsOf(kind, count, runtime)))
          ms[part] = Math.min(ms[part] as number, again);
      rows.push({ kind, nodes: count, ms });
      const each = Object.entries(ms).map(([part, t]) => `${part} ${((1000 * t) / count).toFixed(0)}`);
      console.log(`  ${kind.padEnd(13)} ${String(count).padStart(5)}  ${each.join("  ")}`);
    }
  save("nodes", { title: "what a student costs before it trains, by its number of nodes", rows, ...about() });
}

async function peerFor(script: string, ...args: string[]): Promise<Peer | undefined> {
  if (flags["no-peer"]) return undefined;
  const peer = await Peer.python(script, [...args, String(threads)]);
  if (!peer) console.log("(no PyTorch found: set ONNX_DISTILL_PYTHON to a Python that has it)");
  return peer;
}

function about(peer?: Peer): Record<string, unknown> {
  return { date: new Date().toISOString(), machine: { ...machine(), threads, ...peer?.about } };
}

function save(name: string, result: Record<string, unknown>): void {
  mkdirSync(flags.out, { recursive: true });
  writeWhole(join(flags.out, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

function printTimes(part: string, sides: Record<string, Spread>): void {
  const own = sides[ours]?.median ?? Number.NaN;
  console.log(`  ${part}, milliseconds, median (quartiles)`);
  for (const [side, { median, quartiles }] of Object.entries(sides)) {
    const relation = side === ours ? "" : `, ours runs at ${(median / own).toFixed(2)} of its speed`;
    const [low, high] = quartiles.map((q) => q.toFixed(1));
    console.log(`    ${side.padEnd(22)} ${median.toFixed(2).padStart(8)} (${low} – ${high})${relation}`);
  }
}

function printProfile({ byOp, byPart, nodes }: Profile): void {
  const total = byOp.reduce((a, o) => a + o.ms, 0);
  const share = (ms: number): string => `${((100 * ms) / total).toFixed(1).padStart(5)} %`;
  console.log(`  our student's step by op, ${total.toFixed(1)} ms in kernels`);
  for (const { op, ms, calls, gflop, megabytes } of byOp.filter((o) => o.ms > 0.003 * total)) {
    const rate = gflop > 0 ? `${(1000 * gflop) / ms} GFLOP/s` : `${megabytes / ms} GB/s`;
    console.log(
      `    ${op.padEnd(24)} ${ms.toFixed(2).padStart(7)} ms ${share(ms)}  ${String(calls).padStart(4)} calls  ${rate.replace(/\.\d+/, "")}`,
    );
  }
  console.log("  by part");
  for (const { part, ms } of byPart)
    console.log(`    ${part.padEnd(24)} ${ms.toFixed(2).padStart(7)} ms ${share(ms)}`);
  console.log("  largest nodes");
  for (const { node, op, ms } of nodes.slice(0, 15))
    console.log(`    ${ms.toFixed(2).padStart(7)} ms  ${op}  ${node}`);
}
