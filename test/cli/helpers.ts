// The program in process, and a small world for it: two models, data files, a folder that is gone afterwards.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import {
  batchNorm,
  buildModel,
  conv,
  globalAveragePool,
  type Layer,
  linear,
  relu,
  sequential,
} from "../../src/nn/index.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { npzFile } from "../data/files.ts";
import { testRandom } from "../gradient-checker.ts";

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program; `onErr` sees what it writes to stderr as it comes. */
export async function cli(
  args: readonly string[],
  o: { signal?: AbortSignal; onErr?: (text: string) => void; onOut?: (text: string) => void } = {},
): Promise<Said> {
  let [out, err] = ["", ""];
  const code = await runCli(args, {
    stdout: {
      write(text: string) {
        out += text;
        o.onOut?.(text);
      },
    },
    stderr: {
      write(text: string) {
        err += text;
        o.onErr?.(text);
      },
    },
    signal: o.signal,
  });
  return { code, out, err };
}

/** What the program says of a call that fails: exit code and one line. */
export async function refusal(args: readonly string[]): Promise<string> {
  const { code, out, err } = await cli(args);
  const lines = err.split("\n");
  if (code === 0 || out !== "" || lines.length !== 2 || lines[1] !== "")
    throw new Error(`expected one line on stderr and a code, got ${JSON.stringify({ code, out, err })}`);
  return `${code} ${lines[0]}`;
}

const classes = 4;

/** [n, 8, 8] bytes: one of four bands is bright. */
export function bands(n: number, seed: number): { images: Uint8Array; labels: Uint8Array } {
  const random = testRandom(seed);
  const labels = Uint8Array.from({ length: n }, () => Math.floor(random() * classes));
  const images = Uint8Array.from({ length: n * 64 }, (_, i) => {
    const bright = Math.floor((i % 64) / 16) === labels[Math.floor(i / 64)];
    return Math.floor(random() * 120) + (bright ? 130 : 0);
  });
  return { images, labels };
}

export function bandsNpz(o: { train?: number; test?: number; label?: number } = {}): Uint8Array {
  const { train = 256, test = 96 } = o;
  const [a, b] = [bands(train, 1), bands(test, 2)];
  if (o.label !== undefined) a.labels[3] = o.label;
  return npzFile({
    x_train: [a.images, [train, 8, 8]],
    y_train: [a.labels, [train]],
    ...(test > 0 ? { x_test: [b.images, [test, 8, 8]], y_test: [b.labels, [test]] } : {}),
  });
}

/** `features` is a map of 6 neurons. */
export function smallModel(seed: number, ...before: Layer[]): Uint8Array {
  const body = sequential(
    ...before,
    conv(6, 3, { padding: 1, stride: 2, bias: false }),
    batchNorm(),
    relu({ name: "features" }),
    conv(8, 3, { padding: 1, stride: 2 }),
    relu({ name: "late" }),
    globalAveragePool(),
    linear(classes),
  );
  return modelBytes(buildModel({ input: { name: "image", dims: ["batch", 1, 8, 8] }, seed }, body));
}

/** A temporary folder with teacher.onnx, student.onnx and data.npz; removed when the test is over. */
export function world(): { at: (name: string) => string } {
  const folder = mkdtempSync(join(tmpdir(), "distill-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);
  writeFileSync(
    at("teacher.onnx"),
    smallModel(7, conv(6, 3, { padding: 1, bias: false }), batchNorm(), relu()),
  );
  writeFileSync(at("student.onnx"), smallModel(1));
  writeFileSync(at("data.npz"), bandsNpz());
  return { at };
}

export function trainArgs(at: (name: string) => string, out: string, ...more: string[]): string[] {
  return [
    ...["train", "--student", at("student.onnx"), "--teacher", at("teacher.onnx")],
    ...["--data", at("data.npz"), "--mean", "0.5", "--std", "0.25", "--batch", "32"],
    ...["--tap", "features", "--out", at(out), ...more],
  ];
}
