// Writes what `npm run bench` found into docs/performance.md: each `<!-- name -->` … `<!-- /name -->` there gets the table of
// that name, the words around stay. `npx tsx bench/table.ts [folder of results [suffix]]`: with a suffix, those called
// `<!-- name/suffix -->`, as far as there are any, for a second set of results.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spread } from "./measure.ts";
import type { Profile } from "./profile.ts";
import { workloads } from "./workloads.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const [folder = here("./results"), suffix] = process.argv.slice(2);
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

/** Whether it was measured by processor time. */
const onProcessor = (result: Result | undefined): boolean => result?.machine.clock === "cpu";

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows]
    .map((r) => `| ${r.join(" | ")} |`)
    .join("\n");

/** Three digits, or whole numbers. */
function short(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(decimals);
}

const spread = ({ median, quartiles: [low, high], best }: Spread): string =>
  `${short(median)} (${short(low)}–${short(high)}), ${short(best)}`;

/** How many times our speed is theirs, by medians and by the quickest repetitions. */
const relation = (theirs: Spread, own: Spread): string =>
  `${(theirs.median / own.median).toFixed(2)}, ${(theirs.best / own.best).toFixed(2)} ×`;

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
    ...peers.map((s) => (times[s] && times[ours] ? relation(times[s], times[ours]) : "")),
  ]);
  return table(["ms: median (quartiles), quickest", ...sides, ...peers.map((s) => `ours to ${s}`)], rows);
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
  const width = peer.length > 0 ? 5 : 3;
  const head = [`our ops (${short(total)} ms in all)`, "ms", "work and rate", "PyTorch's ops", "ms"];
  return table(
    head.slice(0, width),
    rows.map((r) => r.slice(0, width)),
  );
}

/** How many times PyTorch's throughput, against what was aimed at. */
function ratios(): string | undefined {
  const rows: string[][] = [];
  const row = (what: string, theirs: Spread | undefined, own: Spread | undefined, aim: string): void => {
    if (theirs && own) rows.push([what, relation(theirs, own), aim]);
  };
  const step = (what: string, name: string, theirs: string, own: string, aim = "") => {
    const times = read(name)?.times;
    row(what, times?.[theirs]?.["PyTorch eager"], times?.[own]?.[ours], aim);
  };
  step("1 ResNet, everything", "resnet", "whole", "whole", "≥ 1.0");
  step("1 ResNet, everything, our teacher kept and PyTorch's not", "resnet", "whole", "kept", "≥ 3");
  step("1 ResNet, everything, teacher kept on both sides", "resnet", "kept", "kept");
  step("1 ResNet, the student's step alone", "resnet", "student", "student");
  const demo = read("demo")?.figures;
  const epoch = onProcessor(read("demo")) ? "cpuPerEpoch" : "perEpoch";
  const demoRow = (what: string, side: string, aim: string): void => {
    const [theirs, own] = [demo?.[side]?.[epoch], demo?.[ours]?.[epoch]];
    if (theirs && own) rows.push([what, `${(theirs / own).toFixed(2)} ×`, aim]);
  };
  demoRow("2 demo, an epoch, PyTorch's teacher at each step", "PyTorch, teacher at each step", "≥ 0.8");
  demoRow("2 demo, an epoch, teacher kept on both sides", "PyTorch, teacher's outputs kept", "");
  step("3 ViT, everything", "vit", "whole", "whole", "≥ 0.8");
  step("3 BERT, everything", "bert", "whole", "whole", "≥ 0.8");
  step("4 MLP, everything", "mlp", "whole", "whole", "≥ 0.8");
  for (const [part, times] of Object.entries(read("classes")?.times ?? {}))
    row(`5 class, ${part}`, times["PyTorch autograd"], times[ours], "≥ 2");
  const others = read("javascript")?.times?.student ?? {};
  for (const [side, theirs] of Object.entries(others))
    if (side !== ours) row(`1 ResNet, the student's step, to ${side}`, theirs, others[ours], "≥ 20");
  return rows.length > 0
    ? table(["workload", "our speed, by medians, by the quickest", "aim"], rows)
    : undefined;
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
  const titles: Record<string, string> = {
    perEpoch: "s per epoch",
    seconds: "s in all",
    firstStep: "s to first step",
    cpuPerEpoch: "CPU s per epoch",
    cpu: "CPU s in all",
  };
  // On a machine that others use as well, time on the wall says nothing.
  const columns = Object.keys(titles).filter((key) => !onProcessor(read("demo")) || key.startsWith("cpu"));
  const rows = Object.entries(figures).map(([side, f]) => [
    side,
    ...columns.map((key) => short(f[key] as number)),
    (f.megabytes as number).toFixed(0),
  ]);
  return table(["", ...columns.map((key) => titles[key] as string), "peak MiB"], rows);
}

function scaling(): string | undefined {
  const rows = read("scaling")?.rows as
    | { batch: number; width: number; threads: number; ms: number }[]
    | undefined;
  if (!rows) return undefined;
  const counts = [...new Set(rows.map((r) => r.threads))];
  const sizes = new Map(rows.map((r) => [`${r.batch}, ${r.width}-${2 * r.width}-${4 * r.width}`, r]));
  return table(
    ["batch, widths", ...counts.flatMap((c) => [`ms, threads: ${c}`, "samples/s"])],
    [...sizes].map(([title, { batch, width }]) => [
      title,
      ...counts.flatMap((c) => {
        const found = rows.find((r) => r.batch === batch && r.width === width && r.threads === c);
        return found ? [short(found.ms), ((1000 * batch) / found.ms).toFixed(0)] : ["", ""];
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
  const { cpu, cores, memoryGiB, os, node, threads, torch, load } = found.machine;
  const how = onProcessor(found)
    ? `times are processor time with threads: ${threads} on every side, because others used the machine as well (load ${short(load as number)})`
    : `${threads} threads on every side, load ${short(load as number)}`;
  const others = Object.entries(read("javascript")?.versions ?? {}).map(([name, v]) => `${name} ${v}`);
  const runtime = JSON.parse(readFileSync(here("../node_modules/onnxruntime-node/package.json"), "utf8")) as {
    version: string;
  };
  return `Measured on ${found.date.slice(0, 10)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}; ${how}. Node ${String(node).slice(1)}, onnxruntime-node ${runtime.version}, PyTorch ${torch}${others.length > 0 ? `, ${others.join(", ")}` : ""}.`;
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
  const title = suffix ? `${name}/${suffix}` : name;
  const [open, close] = [`<!-- ${title} -->`, `<!-- /${title} -->`];
  const [begin, end] = [text.indexOf(open), text.indexOf(close)];
  if (suffix && begin < 0) continue;
  if (begin < 0 || end < begin) throw new Error(`${page} has no ${open} … ${close}`);
  if (piece) text = `${text.slice(0, begin + open.length)}\n${piece}\n${text.slice(end)}`;
  else console.log(`no result for ${name}: its table stays as it is`);
}
writeFileSync(page, text);
