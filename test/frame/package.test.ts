// The package as its users get it: packed, installed into an empty project, used from JavaScript, TypeScript and the shell.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const project = mkdtempSync(join(tmpdir(), "onnx-distill-user-"));
afterAll(() => rmSync(project, { recursive: true, force: true }));

function run(command: string, args: string[], cwd = project): string {
  return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

beforeAll(() => {
  // Scripts do not run by themselves here (.npmrc), so packing does not build.
  run("npm", ["run", "--silent", "build"], root);
  const [packed] = JSON.parse(
    run("npm", ["pack", "--json", "--silent", "--pack-destination", project], root),
  ) as { filename: string; files: { path: string }[]; size: number }[];
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "user", private: true, type: "module" }),
  );
  // ONNX Runtime's own install script would look for CUDA.
  run("npm", [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    join(project, packed!.filename),
  ]);
}, 300_000);

describe("the packed package", () => {
  it("trains from JavaScript", () => {
    writeFileSync(
      join(project, "use.js"),
      `import { arrayDataset, distill, tensor } from "onnx-distill";
       const data = arrayDataset({ inputs: [tensor("float32", Float32Array.from({ length: 64 * 256 }, (_, i) => Math.sin(i)), [64, 1, 16, 16])], labels: Array.from({ length: 64 }, (_, i) => i % 5), classes: 5 });
       const worker = process.argv[3] === "worker";
       for await (const event of distill({ student: process.argv[2], data, batch: 32, epochs: 1, worker })) {
         if (event.type === "start" && event.notes.length > 0) console.log(event.notes);
         if (event.type === "done") console.log(event.step, event.student.length > 1000);
       }`,
    );
    const student = join(root, "test/fixtures/models/cnn-torchscript.onnx");
    for (const worker of ["worker", "none"])
      expect(run(process.execPath, ["use.js", student, worker])).toBe("2 true\n");
  });

  it("gives the strategies without loading ONNX Runtime or protobuf", () => {
    writeFileSync(
      join(project, "strategies.js"),
      `import { Matrix, NeuronSelectivityDistillationStrategy } from "onnx-distill/strategies";
       const s = new NeuronSelectivityDistillationStrategy();
       console.log(s.computeLoss(Matrix.fromRows([[1, 2]]), Matrix.fromRows([[1, 2]])));
       const native = process.report.getReport().sharedObjects.filter((o) => o.includes("onnxruntime"));
       console.log(native.length);`,
    );
    expect(run(process.execPath, ["strategies.js"])).toBe("0\n0\n");
  });

  it("types-checks from TypeScript", () => {
    writeFileSync(
      join(project, "use.ts"),
      `import { distill, NeuronSelectivityDistillationStrategy, type Dataset, type DistillEvent } from "onnx-distill";
       import { Matrix, SelectivityMetric } from "onnx-distill/strategies";
       const strategy = new NeuronSelectivityDistillationStrategy({ metric: SelectivityMetric.Sparsity });
       export const loss: number = strategy.computeLoss(Matrix.fromRows([[1]]), { data: new Float32Array(1), dims: [1, 1] });
       export async function run(data: Dataset): Promise<DistillEvent | undefined> {
         for await (const event of distill({ student: "s.onnx", teacher: "t.onnx", data, strategy })) if (event.type === "done") return event;
         return undefined;
       }
       // @ts-expect-error a misspelt option
       distill({ student: "s.onnx", datum: 1 });`,
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const types = join(root, "node_modules/@types");
    expect(
      run(process.execPath, [
        tsc,
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--typeRoots",
        types,
        "--types",
        "node",
        "use.ts",
      ]),
    ).toBe("");
  });

  it("brings the command", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(run(join(project, "node_modules/.bin/onnx-distill"), ["--version"]).trim()).toBe(version);
  });
});
