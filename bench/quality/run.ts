// The quality studies: each is one call of `onnx-distill compare`, its seeds divided among processes of one thread each.
//
//   npm run build && npx tsx bench/quality/prepare.ts && npx tsx bench/quality/run.ts [names of studies] [--jobs 2]
//                                                                                     [--first-seed n] [--seeds n] [--out …]
//
// Without names, all of them. Runs that are there are kept, so that an interrupted study goes on.
// `npx tsx bench/quality/page.ts` then writes the tables of docs/quality.md.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Study, studies } from "./studies.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: "string", default: "2" },
    seeds: { type: "string" },
    "first-seed": { type: "string" },
    out: { type: "string", default: fileURLToPath(new URL("./runs", import.meta.url)) },
  },
});
const unknown = positionals.find((name) => !(name in studies));
if (unknown) throw new Error(`no study "${unknown}"; there are ${Object.keys(studies).join(", ")}`);

for (const name of positionals.length > 0 ? positionals : Object.keys(studies)) {
  const study = studies[name] as Study;
  const firstSeed = Number(values["first-seed"] ?? study.firstSeed ?? 0);
  const seeds = Number(values.seeds ?? study.seeds);
  const jobs = Math.min(Number(values.jobs), seeds);
  const out = join(values.out, name);
  const running: Promise<void>[] = [];
  for (let job = 0, seed = firstSeed; job < jobs; job++) {
    const own = Math.floor((seeds + job) / jobs);
    running.push(compare(study, out, seed, own, false));
    seed += own;
    // The first writes compare.json, which the others agree with.
    while (!existsSync(join(out, "compare.json"))) await setTimeout(100);
  }
  await Promise.all(running);
  await compare(study, out, firstSeed, seeds, true);
}

/** `loud`: with what it prints at its end. */
async function compare(
  study: Study,
  out: string,
  firstSeed: number,
  seeds: number,
  loud: boolean,
): Promise<void> {
  const args = [
    join(root, "dist/cli/main.js"),
    "compare",
    ...study.shared,
    ...study.rows.flatMap(({ name, options }) => ["--row", `${name}: ${options}`]),
    ...["--threads", "1", "--seeds", String(seeds), "--first-seed", String(firstSeed), "--out", out],
    ...(existsSync(join(out, "compare.json")) ? ["--resume"] : []),
  ];
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", loud ? "inherit" : "ignore", "inherit"],
  });
  const code = await new Promise<number | null>((done) => child.on("exit", done));
  if (code !== 0) throw new Error(`compare ended with ${code}`);
}
