// Holds what the step makes of random nodes to ONNX Runtime's own kernels, for as long as asked.
//
//   npm run test:differential -- --seed 2                     an hour over all ops
//   npm run test:differential -- --op Resize --case 123456    one case, in full
import { parseArgs } from "node:util";
import type { OpKey } from "../src/ops/index.ts";
import { caseSeed, describeCase, drawCase, opKeys, runCase } from "../test/differential/run-case.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    op: { type: "string", multiple: true },
    case: { type: "string" },
  },
});

const ops = values.op === undefined ? opKeys : opKeys.filter((key) => values.op?.includes(key));
const unknown = values.op?.filter((op) => !opKeys.includes(op as OpKey)) ?? [];
if (unknown.length > 0) fail(`--op: ${unknown.join(", ")} not in the op table`);
const [minutes, seed] = [number("minutes", values.minutes), number("seed", values.seed)];

interface Tally {
  cases: number;
  agreed: number;
  differing: number;
  readonly invalid: Map<string, number>;
  readonly refused: Map<string, number>;
  worst: number;
  shown: string;
}

if (values.case !== undefined) {
  if (ops.length !== 1) fail("--case wants one --op");
  const drawn = drawCase(ops[0] as OpKey, number("case", values.case));
  console.log(describeCase(drawn));
  console.log(await runCase(drawn));
} else await search();

async function search(): Promise<void> {
  const tallies = new Map<OpKey, Tally>();
  const end = Date.now() + minutes * 60_000;
  for (let i = 0; Date.now() < end; i++)
    for (const op of ops) {
      if (Date.now() >= end) break;
      const tally = tallies.get(op) ?? {
        cases: 0,
        agreed: 0,
        differing: 0,
        invalid: new Map(),
        refused: new Map(),
        worst: 0,
        shown: "",
      };
      tallies.set(op, tally);
      tally.cases++;
      const drawn = drawCase(op, caseSeed(seed, op, i));
      const outcome = await runCase(drawn);
      if (outcome.kind === "agrees") tally.agreed++;
      else if (outcome.kind === "differs") {
        tally.differing++;
        if (
          outcome.error > tally.worst ||
          (outcome.error === tally.worst && describeCase(drawn).length < tally.shown.length)
        ) {
          tally.worst = outcome.error;
          tally.shown = `${describeCase(drawn)}\n  ${outcome.what}`;
        }
      } else tally[outcome.kind].set(outcome.why, (tally[outcome.kind].get(outcome.why) ?? 0) + 1);
    }
  let differing = 0;
  let cases = 0;
  for (const [op, t] of tallies) {
    cases += t.cases;
    differing += t.differing;
    const sum = (counts: Map<string, number>) => [...counts.values()].reduce((p, n) => p + n, 0);
    if (t.differing > 0)
      console.log(`\n${op}: ${t.differing} of ${t.cases} cases differ; the worst:\n${t.shown}`);
    for (const what of ["invalid", "refused"] as const)
      if (sum(t[what]) > 0.1 * t.cases) {
        const [why, n] = [...t[what]].sort((p, q) => q[1] - p[1])[0] as [string, number];
        console.log(`\n${op}: ${sum(t[what])} of ${t.cases} cases ${what}, ${n} of them: ${why}`);
      }
  }
  console.log(`\n${cases} cases of ${tallies.size} ops, seed ${seed}: ${differing} differ`);
  process.exitCode = differing > 0 ? 1 : 0;
}

function number(name: string, text: string): number {
  const found = Number(text);
  if (text === "" || !Number.isFinite(found) || found < 0)
    fail(`--${name}: expected a number >= 0, got ${JSON.stringify(text)}`);
  return found;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
