// Models whose weights stay on disk: the same model, and no more memory than its size.
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import type { Tensor } from "../../src/base/tensor.ts";
import { fileSize, isOnDisk } from "../../src/base/value-info.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import { editModel } from "../../src/onnx/edit-model.ts";
import { modelBytes, withOutputs, withWeights } from "../../src/onnx/export-model.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { thinModel } from "../../src/onnx/thin-model.ts";
import { fixedBatchOf } from "../../src/prepare/fixed-batch.ts";
import { prepareTeacher } from "../../src/prepare/prepare-teacher.ts";
import { exampleFeeds } from "../../src/runtime/example-feeds.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { createWebRuntime } from "../../src/runtime/ort-web.ts";
import type { Runtime } from "../../src/runtime/session.ts";
import { distill } from "../../src/train/distill.ts";
import { modelSize } from "../../src/train/model-figures.ts";
import { modelTeacher } from "../../src/train/teacher.ts";
import { fixtureBytes, fixturePath } from "../fixtures/models.ts";
import { expectClose } from "../gradient-checker.ts";
import { writeLargeModel } from "./large-file.ts";

const folder = mkdtempSync(join(tmpdir(), "large-"));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const kinds = ["embedded", "external"] as const;
beforeAll(() => {
  for (const kind of kinds) writeLargeModel(at(`${kind}.onnx`), 2, kind);
});

const left = (path: string) => readModelFile(path, { leaveFrom: 2 ** 20 });

const bytesOf = ({ data }: Tensor): Uint8Array => new Uint8Array((data as Float32Array).buffer);

async function run(model: Model, runtime: Runtime = nodeRuntime): Promise<Record<string, Tensor>> {
  const session = await runtime.load(withOutputs(model, ["relu0"]), { externalData: model.externalFiles });
  try {
    return await session.run(exampleFeeds(model, 2));
  } finally {
    await session.release();
  }
}

describe.each(kinds)("a model with %s weights, left on disk", (kind) => {
  it("is the model that is read whole: graph, constants, sizes, results", async () => {
    const [thin, whole] = [await left(at(`${kind}.onnx`)), await readModelFile(at(`${kind}.onnx`))];
    expect(modelBytes(thin).length).toBeLessThan(2000);
    expect(thin.externalFiles.map(isOnDisk)).toEqual([true]);
    expect(modelSize(thin)).toEqual(modelSize(whole));
    expect(thin.graph.nodes.map((n) => n.name)).toEqual(whole.graph.nodes.map((n) => n.name));
    for (const [value, t] of whole.graph.constants) {
      const other = thin.graph.constants.get(thin.graph.find(value.name)!)!;
      expect(Buffer.compare(bytesOf(other), bytesOf(t)), value.name).toBe(0);
    }
    expect(await run(thin)).toEqual(await run(whole));
  });

  it("is run by a runtime that reads no files, and written back whole", async () => {
    const thin = await left(at(`${kind}.onnx`));
    const [node, web] = [await run(thin), await run(thin, createWebRuntime({ threads: 1 }))];
    expectClose(web.relu1!.data as Float32Array, node.relu1!.data as Float32Array, 1e-5, "relu1");
    const weight = thin.graph.constants.get(thin.graph.find("w0")!)!;
    const { bytes, externalFiles } = withWeights(thin, new Map([["w0", weight]]));
    expect(externalFiles).toEqual([]);
    expect(await run(readModel(bytes))).toEqual(node);
  });

  it("is found through links", async () => {
    mkdirSync(at(`${kind}-links`));
    symlinkSync(at(`${kind}.onnx`), at(`${kind}-links/model.onnx`));
    if (kind === "external") symlinkSync(at("external.onnx.data"), at("external-links/external.onnx.data"));
    expect(await run(await left(at(`${kind}-links/model.onnx`)))).toEqual(
      await run(await left(at(`${kind}.onnx`))),
    );
  });
});

it("renames external data that a link leads to under another name", async () => {
  mkdirSync(at("cache"));
  mkdirSync(at("cache/blobs"));
  mkdirSync(at("cache/snapshot"));
  copyFileSync(at("external.onnx"), at("cache/blobs/1a"));
  copyFileSync(at("external.onnx.data"), at("cache/blobs/2b"));
  symlinkSync("../blobs/1a", at("cache/snapshot/external.onnx"));
  symlinkSync("../blobs/2b", at("cache/snapshot/external.onnx.data"));
  const model = await left(at("cache/snapshot/external.onnx"));
  expect(model.externalFiles.map((f) => f.path)).toEqual(["2b"]);
  expect(await run(model)).toEqual(await run(await readModelFile(at("external.onnx"))));
});

it("reads external data that lies outside of the model's real folder", async () => {
  mkdirSync(at("elsewhere"));
  copyFileSync(at("external.onnx"), at("elsewhere/external.onnx"));
  symlinkSync(at("external.onnx.data"), at("elsewhere/external.onnx.data"));
  const model = await left(at("elsewhere/external.onnx"));
  expect(model.externalFiles.map(isOnDisk)).toEqual([false]);
  expect(await run(model)).toEqual(await run(await left(at("external.onnx"))));
});

it("leaves large files only, and what else is external is read beside them", async () => {
  copyFileSync(fixturePath("encodings.onnx"), at("encodings.onnx"));
  copyFileSync(fixturePath("encodings.bin"), at("encodings.bin"));
  const model = await left(at("encodings.onnx"));
  expect(model.externalFiles.map((f) => [isOnDisk(f), fileSize(f)])).toEqual([[false, 283]]);
  expect(modelBytes(model)).toEqual(fixtureBytes("encodings.onnx"));
});

describe("a small file beside a large one", () => {
  /** "external", with its first weight in a file that is small for those who leave what has 5 MiB. */
  const write = (name: string): string => {
    mkdirSync(at(name));
    const bytes = readFileSync(at("external.onnx"));
    const location = "./sub/./part1.data";
    expect(location.length).toBe("external.onnx.data".length);
    bytes.write(location, bytes.indexOf("external.onnx.data"));
    writeFileSync(at(`${name}/external.onnx`), bytes);
    copyFileSync(at("external.onnx.data"), at(`${name}/external.onnx.data`));
    return at(`${name}/external.onnx`);
  };
  const first = () => readFileSync(at("external.onnx.data")).subarray(0, 2 ** 22);

  it("is left beside it, for ONNX Runtime does not mix files with memory", async () => {
    const path = write("parts");
    mkdirSync(at("parts/sub"));
    writeFileSync(at("parts/sub/part1.data"), first());
    const model = await readModelFile(path, { leaveFrom: 5 * 2 ** 20 });
    expect(model.externalFiles.map((f) => [f.path, isOnDisk(f)])).toEqual([
      ["sub/part1.data", true],
      ["external.onnx.data", true],
    ]);
    expect(await run(model)).toEqual(await run(await readModelFile(at("external.onnx"))));
  });

  it("is run from memory with it, where it lies outside of the folder", async () => {
    const path = write("apart");
    mkdirSync(at("other"));
    writeFileSync(at("other/part1.data"), first());
    symlinkSync(at("other"), at("apart/sub"));
    const model = await readModelFile(path, { leaveFrom: 5 * 2 ** 20 });
    expect(model.externalFiles.map(isOnDisk)).toEqual([false, true]);
    expect(await run(model)).toEqual(await run(await readModelFile(at("external.onnx"))));
  });
});

it("is asked like the teacher that is read whole: rebatched, by its logits, with taps", async () => {
  const file = readModel(readFileSync(join(import.meta.dirname, "../../assets/fashion-mnist/teacher.onnx")));
  const [input, output] = [file.inputs[0]!, file.outputs[0]!];
  const probabilities = editModel(file, {
    nodes: [{ op: "Softmax", name: "softmax", inputs: [output.name], outputs: ["probabilities"] }],
    batch: { inputs: [input.name], size: 3 },
    outputs: ["probabilities"],
  });
  writeFileSync(at("teacher.onnx"), modelBytes(probabilities));
  const ask = async (model: Model) => {
    const x = exampleFeeds(file, 6)[input.name]!;
    const tap = model.graph.nodes.findLast((n) => n.op === "Relu")!.outputs[0]!.name;
    const { model: prepared, logits } = await prepareTeacher(model, {
      runtime: nodeRuntime,
      batch: 6,
      feeds: { [input.name]: x },
      activation: "softmax",
      taps: [tap],
    });
    expect(logits.value).toBe(output.name);
    expect(fixedBatchOf(prepared)).not.toBe(3);
    const dataset = arrayDataset({ inputs: [{ ...x, name: input.name }] });
    const teacher = await modelTeacher(
      prepared,
      nodeRuntime,
      dataset,
      [{ name: "t", teacher: tap }],
      logits.value,
    );
    const said = await teacher.run([x]);
    await teacher.release();
    return said;
  };
  const thin = await readModelFile(at("teacher.onnx"), { leaveFrom: 1000 });
  expect(thin.externalFiles.map((f) => f.path)).toEqual(["teacher.onnx"]);
  expect(await ask(thin)).toEqual(await ask(await readModelFile(at("teacher.onnx"))));
});

it.each(["changed", "removed"])("refuses a file that was %s since", async (how) => {
  const path = at(`${how}.onnx`);
  writeLargeModel(path, 1, "embedded");
  const model = await left(path);
  if (how === "changed") appendFileSync(path, "x");
  else rmSync(path);
  const error = `${path}: the file was ${how} while the model was in use`;
  expect(() => model.graph.constants.get(model.graph.find("w0")!)?.data).toThrow(error);
  await expect(run(model)).rejects.toThrow(error);
});

it("runs on where another file takes the name", async () => {
  writeLargeModel(at("replaced.onnx"), 2, "embedded");
  const model = await left(at("replaced.onnx"));
  const session = await nodeRuntime.load(modelBytes(model), { externalData: model.externalFiles });
  const feeds = exampleFeeds(model, 2);
  const before = await session.run(feeds);
  writeFileSync(at("new.onnx"), "something else");
  renameSync(at("new.onnx"), at("replaced.onnx"));
  expect(await session.run(feeds)).toEqual(before);
  await session.release();
});

it("external data that is cut short is one error, also where it is left", async () => {
  writeLargeModel(at("short.onnx"), 2, "external");
  copyFileSync(at("external.onnx.data"), at("short.onnx.data"));
  const { truncateSync } = await import("node:fs");
  truncateSync(at("short.onnx.data"), 5 * 2 ** 20);
  await expect(left(at("short.onnx"))).rejects.toThrow(
    `${at("short.onnx")}: initialiser "w1": needs bytes 4194304 to 8388608 of the external file "short.onnx.data", which has 5242880; it is cut short or belongs to another model`,
  );
});

it("a run is not resumed with a student whose external weights are others", async () => {
  writeLargeModel(at("student.onnx"), 1, "external", 16);
  const x = { dtype: "float32", dims: [8, 16], data: new Float32Array(8 * 16).fill(0.5) } as const;
  const train = async (resume: boolean): Promise<void> => {
    const options = { student: at("student.onnx"), data: arrayDataset({ inputs: [x] }), batch: 4, epochs: 1 };
    const teacher = ([logits]: readonly Tensor[]) => ({ logits: logits! });
    for await (const _ of distill({ ...options, teacher, out: at("run"), resume }));
  };
  await train(false);
  await train(true);
  const weights = readFileSync(at("student.onnx.data"));
  weights[0] = (weights[0] as number) ^ 1;
  writeFileSync(at("student.onnx.data"), weights);
  await expect(train(true)).rejects.toThrow("was begun with studentSha256");
});

describe("thinModel", () => {
  const source = (bytes: Uint8Array) => ({
    size: bytes.length,
    slice: (offset: number, length: number) => bytes.subarray(offset, offset + length),
  });

  it("leaves everything but large initialisers as it is, in every fixture", () => {
    for (const name of ["cnn-torchscript", "cnn-dynamo", "mlp-torchscript", "mlp-dynamo"]) {
      const bytes = fixtureBytes(`${name}.onnx`);
      const thin = thinModel(source(bytes), "own.onnx", 100) as Uint8Array;
      expect(thin.length).toBeLessThan(bytes.length);
      const [a, b] = [
        readModel(bytes),
        readModel(thin, {
          external: (location) => {
            expect(location).toBe("own.onnx");
            return bytes;
          },
        }),
      ];
      for (const [value, t] of a.graph.constants)
        expect(b.graph.constants.get(b.graph.find(value.name)!)?.data, value.name).toEqual(t.data);
      expect(withWeights(b, new Map()).bytes.length).toBe(bytes.length);
    }
  });

  it("is undefined for what has no large initialiser, and for what is no model", () => {
    const bytes = fixtureBytes("cnn-dynamo.onnx");
    expect(thinModel(source(bytes), "m.onnx", 2 ** 30)).toBeUndefined();
    expect(thinModel(source(bytes.subarray(0, bytes.length - 3000)), "m.onnx", 200)).toBeUndefined();
    expect(thinModel(source(new TextEncoder().encode("not a model at all")), "m.onnx", 1)).toBeUndefined();
    expect(thinModel(source(new Uint8Array()), "m.onnx", 1)).toBeUndefined();
  });
});

describe("memory of a 300 MiB model, beyond that of a 4 MiB one", () => {
  const layers = 75;
  const size = 4 * layers;
  const overhead = 48;
  const measure = (path: string, how: "left" | "whole") =>
    JSON.parse(
      execFileSync(
        process.execPath,
        ["--import", "tsx", join(import.meta.dirname, "memory-child.ts"), path, how],
        { encoding: "utf8" },
      ),
    ) as Record<"parameters" | "begun" | "read" | "observed" | "ran", number>;

  test.each(kinds)("%s weights left on disk: read, observed, loaded and run within its size", (kind) => {
    const path = at(`${kind}-300.onnx`);
    writeLargeModel(path, layers, kind);
    const [small, large] = [measure(at(`${kind}.onnx`), "left"), measure(path, "left")];
    expect(large.parameters).toBe(layers * 2 ** 20);
    expect(large.read - small.read).toBeLessThan(overhead);
    expect(large.observed - small.observed).toBeLessThan(size + overhead);
    expect(large.ran - small.ran).toBeLessThan(size + overhead);
    const whole = measure(path, "whole");
    expect(whole.read - whole.begun).toBeGreaterThan(size - overhead);
    expect(whole.read - whole.begun).toBeLessThan(size + overhead);
    rmSync(path);
    if (kind === "external") {
      expect(statSync(`${path}.data`).size).toBe(layers * 2 ** 22);
      rmSync(`${path}.data`);
    }
  });
});
