// Writes what `npm run bench` found into docs/performance.md: each `<!-- name -->` … `<!-- /name -->` there gets the table of
// that name, the words around stay. `npx tsx bench/table.ts [folder of results]`.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spread } from "./measure.ts";
import type { Profile } from "./profile.ts";
import { workloads } from "./workloads.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here("./results");
const page = here("../docs/performance.md");
const ours = "onnx-distill";

interface Result {
  readonly title: string;
  readonly date: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly times?: Readonly<Record<string, Readonly<Record<string, Spread>>>>;
  readonly profile?: Profile;
  readonly peerProfile?: readonly { readonly op: string; readonly ms: number; readonly calls: number }[];
  readonly figures?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly rows?: readonly Readonly<Record<string, unknown>>[];
  readonly versions?: Readonly<Record<string, string>>;
}

function read(name: string): Result | undefined {
  const file = join(folder, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Result) : undefined;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows]
    .map((r) => `| ${r.join(" | ")} |`)
    .join("\n");

/** Three digits, or whole numbers. */
function short(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(decimals);
}

const spread = ({ median, quartiles: [low, high] }: Spread): string =>
  `${short(median)} (${short(low)}–${short(high)})`;

/** Names of the parts of a step, in words. */
const partTitles: Readonly<Record<string, string>> = {
  teacher: "teacher's forward pass",
  student: "student's step",
  whole: "everything, teacher each step",
  kept: "everything, teacher kept",
};

function timesTable(name: string): string | undefined {
  const result = read(name);
  if (!result?.times) return undefined;
  const sides = Object.keys(Object.values(result.times)[0] ?? {});
  const peers = sides.filter((s) => s !== ours);
  const rows = Object.entries(result.times).map(([part, times]) => [
    partTitles[part] ?? part,
    ...sides.map((s) => (times[s] ? spread(times[s]) : "")),
    ...peers.map((s) =>
      times[s] && times[ours] ? `${(times[s].median / times[ours].median).toFixed(2)} ×` : "",
    ),
  ]);
  return table(["ms, median (quartiles)", ...sides, ...peers.map((s) => `ours to ${s}`)], rows);
}

/** Ours and PyTorch's dearest ops side by side, ours with what they have to compute or to move. */
function profileTable(name: string): string | undefined {
  const result = read(name);
  if (!result?.profile) return undefined;
  const { byOp } = result.profile;
  const total = byOp.reduce((sum, o) => sum + o.ms, 0);
  const rate = ({ gflop, megabytes, ms }: (typeof byOp)[number]): string =>
    gflop > 0
      ? `${short(gflop)} GFLOP, ${short((1000 * gflop) / ms)} GFLOP/s`
      : `${short(megabytes)} MB, ${short(megabytes / ms)} GB/s`;
  const own = byOp
    .filter((o) => o.ms > 0.01 * total)
    .map((o) => [`${o.op} × ${o.calls}`, short(o.ms), o.op === "Reshape" ? "" : rate(o)]);
  const peer = (result.peerProfile ?? []).map((o) => [
    `${o.op.replace(/^aten::/, "")} × ${Math.round(o.calls)}`,
    short(o.ms),
  ]);
  const rows = Array.from({ length: Math.max(own.length, peer.length) }, (_, i) => [
    ...(own[i] ?? ["", "", ""]),
    ...(peer[i] ?? ["", ""]),
  ]);
  return table([`our ops (${short(total)} ms in all)`, "ms", "work and rate", "PyTorch's ops", "ms"], rows);
}

/** How many times PyTorch's throughput, against what was aimed at. */
function ratios(): string | undefined {
  const rows: string[][] = [];
  const row = (what: string, ratio: number | undefined, goal: string): void => {
    if (ratio !== undefined) rows.push([what, `${ratio.toFixed(2)} ×`, goal]);
  };
  const ratio = (name: string, peerPart: string, part = peerPart, peer = "PyTorch eager") => {
    const times = read(name)?.times;
    const [theirs, own] = [times?.[peerPart]?.[peer], times?.[part]?.[ours]];
    return theirs && own ? theirs.median / own.median : undefined;
  };
  row("1 ResNet, everything", ratio("resnet", "whole"), "≥ 1.0");
  row("1 ResNet, everything, our teacher kept and PyTorch's not", ratio("resnet", "whole", "kept"), "≥ 3");
  row("1 ResNet, everything, teacher kept on both sides", ratio("resnet", "kept"), "");
  row("1 ResNet, the student's step alone", ratio("resnet", "student"), "");
  const demo = read("demo")?.figures;
  const each = (side: string) => demo?.[side]?.perEpoch;
  const [own, asked, kept] = [ours, "PyTorch, teacher at each step", "PyTorch, teacher's outputs kept"].map(
    each,
  );
  row("2 demo, seconds per epoch, PyTorch's teacher at each step", asked && own && asked / own, "≥ 0.8");
  row("2 demo, seconds per epoch, teacher kept on both sides", kept && own && kept / own, "");
  row("3 ViT, everything", ratio("vit", "whole"), "≥ 0.8");
  row("3 BERT, everything", ratio("bert", "whole"), "≥ 0.8");
  row("4 MLP, everything", ratio("mlp", "whole"), "≥ 0.8");
  for (const part of Object.keys(read("classes")?.times ?? {}))
    row(`5 classes, ${part}`, ratio("classes", part, part, "PyTorch autograd"), "≥ 2");
  const others = read("javascript")?.times?.student ?? {};
  for (const [side, { median }] of Object.entries(others))
    if (side !== ours && others[ours])
      row(`1 student's step, to ${side}`, median / others[ours].median, "≥ 20");
  return rows.length > 0 ? table(["workload", "our speed", "aim"], rows) : undefined;
}

function memory(): string | undefined {
  const found = [
    ["1 ResNet, 10 whole steps", read("memory")?.figures] as const,
    ["2 demo", read("demo")?.figures] as const,
  ];
  const rows = found.flatMap(([what, figures]) =>
    Object.entries(figures ?? {}).map(([side, f]) => [what, side, `${f.megabytes?.toFixed(0)} MiB`]),
  );
  return rows.length > 0 ? table(["workload", "side", "peak resident memory"], rows) : undefined;
}

function demo(): string | undefined {
  const figures = read("demo")?.figures;
  if (!figures) return undefined;
  const rows = Object.entries(figures).map(([side, f]) => [
    side,
    ...["perEpoch", "seconds", "cpu", "firstStep"].map((key) => short(f[key] as number)),
    (f.megabytes as number).toFixed(0),
  ]);
  return table(["", "s per epoch", "s in all", "CPU s", "s to first step", "peak MiB"], rows);
}

function scaling(): string | undefined {
  const rows = read("scaling")?.rows as { batch: number; threads: number; ms: number }[] | undefined;
  if (!rows) return undefined;
  const batches = [...new Set(rows.map((r) => r.batch))];
  const counts = [...new Set(rows.map((r) => r.threads))];
  return table(
    ["batch", ...counts.flatMap((c) => [`ms, threads: ${c}`, "samples/s"])],
    batches.map((batch) => [
      String(batch),
      ...counts.flatMap((c) => {
        const ms = rows.find((r) => r.batch === batch && r.threads === c)?.ms ?? Number.NaN;
        return [short(ms), ((1000 * batch) / ms).toFixed(0)];
      }),
    ]),
  );
}

function ceilings(): string | undefined {
  const rows = read("ceilings")?.rows as
    | { title: string; unit: string; rates: Record<string, number> }[]
    | undefined;
  if (!rows) return undefined;
  const sides = Object.keys(rows[0]?.rates ?? {});
  const names = sides.map((s) => (s === ours ? "ONNX Runtime, or JavaScript" : s));
  return table(
    ["", ...names],
    rows.map((r) => [r.title, ...sides.map((s) => `${short(r.rates[s] as number)} ${r.unit}`)]),
  );
}

function machine(): string | undefined {
  const found = read("resnet");
  if (!found) return undefined;
  const { cpu, cores, memoryGiB, os, node, threads, torch } = found.machine;
  const others = Object.entries(read("javascript")?.versions ?? {}).map(([name, v]) => `${name} ${v}`);
  const runtime = JSON.parse(readFileSync(here("../node_modules/onnxruntime-node/package.json"), "utf8")) as {
    version: string;
  };
  return `Measured on ${found.date.slice(0, 10)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}; ${threads} threads on every side. Node ${String(node).slice(1)}, onnxruntime-node ${runtime.version}, PyTorch ${torch}${others.length > 0 ? `, ${others.join(", ")}` : ""}.`;
}

const pieces: Record<string, string | undefined> = {
  machine: machine(),
  ratios: ratios(),
  ceilings: ceilings(),
  classes: timesTable("classes"),
  javascript: timesTable("javascript"),
  memory: memory(),
  demo: demo(),
  scaling: scaling(),
  ...Object.fromEntries(
    Object.keys(workloads).flatMap((name) => [
      [name, timesTable(name)],
      [`${name}-ops`, profileTable(name)],
    ]),
  ),
};
let text = readFileSync(page, "utf8");
for (const [name, piece] of Object.entries(pieces)) {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [begin, end] = [text.indexOf(open), text.indexOf(close)];
  if (begin < 0 || end < begin) throw new Error(`${page} has no ${open} … ${close}`);
  if (piece) text = `${text.slice(0, begin + open.length)}\n${piece}\n${text.slice(end)}`;
  else console.log(`no result for ${name}: its table stays as it is`);
}
writeFileSync(page, text);
