// Inputs of other element types and layouts than data sets give: what arrives at the model, against NumPy.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tensor, toNumbers } from "../../src/base/tensor.ts";
import { arrayDataset } from "../../src/data/array-dataset.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { imageDataset } from "../../src/data/image-dataset.ts";
import { withFloat32Inputs } from "../../src/onnx/float32-inputs.ts";
import type { Model } from "../../src/onnx/model.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";
import type { Runtime } from "../../src/runtime/session.ts";
import { evaluateModel } from "../../src/train/evaluate-model.ts";
import { feederFor } from "../../src/train/feeds.ts";
import { openRunner } from "../../src/train/model-runner.ts";
import { failure } from "../data/files.ts";
import { collect, only } from "./helpers.ts";

const at = (file: string) => new URL(`../fixtures/element-types/${file}`, import.meta.url);
const values: Record<string, number[]> = JSON.parse(readFileSync(at("values.json"), "utf8"));
const bytesOf = (name: string) => new Uint8Array(readFileSync(at(`${name}.onnx`)));
const model = (name: string): Model => readModel(bytesOf(name), { source: name });
const runtime = createNodeRuntime({ threads: 1 });

const rows = arrayDataset({ inputs: [tensor("float32", values.x!, [6, 4])] });
const pixels = tensor("uint8", values.pixels!, [6, 2, 5, 3]);
const scaling = { mean: values.mean!, std: values.std! };
const images = imageDataset({ images: pixels, ...scaling });
const grey = imageDataset({
  images: tensor(
    "uint8",
    Uint8Array.from({ length: 60 }, (_, i) => values.pixels![3 * i]!),
    [6, 2, 5],
  ),
  mean: 0.3,
  std: 0.7,
});
const all = [0, 1, 2, 3, 4, 5];

async function outputOf(m: Model, data: Dataset): Promise<number[]> {
  const runner = await openRunner(m, runtime, data, ["y"]);
  const { y } = await runner.run((await data.read(all)).inputs);
  await runner.release();
  expect(y!.dtype).toBe("float32");
  return toNumbers(y!);
}

const close = (found: number[], expected: number[], relative: number) => {
  const scale = Math.max(...expected.map(Math.abs));
  expect(found).toHaveLength(expected.length);
  for (const [i, v] of found.entries())
    expect(Math.abs(v - expected[i]!), `${i}`).toBeLessThan(relative * scale);
};

describe("floats of other widths", () => {
  it.each([
    ["half", 2e-3],
    ["half-branch", 2e-3],
    ["double", 1e-6],
    ["single", 1e-6],
  ])("%s: takes float32 data, gives float32", async (name, tolerance) => {
    close(await outputOf(model(name), rows), values.linear!, tolerance);
  });

  it("float16 inputs are cast in the copy that is run, whose names are the file's", () => {
    const own = model("half-branch");
    const copy = withFloat32Inputs(own);
    expect(copy.inputs).toEqual([{ name: "x", dtype: "float32", dims: ["n", 4] }]);
    expect(own.inputs[0]!.dtype).toBe("float16");
    // The name that it would be given is taken.
    expect(copy.graph.nodes[0]).toMatchObject({ op: "Cast", name: "x/float16_" });
    expect(withFloat32Inputs(model("double"))).toMatchObject({ source: "double" });
    const single = model("single");
    expect(withFloat32Inputs(single)).toBe(single);
  });

  it("float64 data go to a float32 model, and NumPy's whole float64 numbers to one that takes ids", async () => {
    const double = arrayDataset({ inputs: [tensor("float64", values.x!, [6, 4])] });
    close(await outputOf(model("single"), double), values.linear!, 1e-6);
    const ids = (dtype: "float64" | "int32" | "uint8") =>
      arrayDataset({ inputs: [tensor(dtype, [3, 0, 9, 1, 1, 2], [6])] });
    for (const dtype of ["float64", "int32", "uint8"] as const)
      close(await outputOf(model("ids"), ids(dtype)), values.ids!, 1e-6);
  });

  it("what the element type does not hold is refused", async () => {
    const feed = async (name: string, dtype: "float32" | "float64", x: number[], dims: number[]) => {
      const data = arrayDataset({ inputs: [tensor(dtype, x, dims)] });
      return failure(async () => feederFor(model(name), data)((await data.read([0])).inputs));
    };
    expect(await feed("ids", "float32", [2.5], [1])).toBe(
      'E_DATA: ids: input "ids" takes int64, which does not hold 2.5; save the data as int64',
    );
    expect(await feed("single", "float64", [1, 2, 1e300, 0], [1, 4])).toBe(
      'E_DATA: single: input "x" takes float32, which does not hold 1e+300; save the data as float32',
    );
    const bytes = arrayDataset({ inputs: [tensor("uint8", [1, 2, 3, 4], [1, 4])] });
    expect(await failure(() => feederFor(model("single"), bytes))).toBe(
      'E_DATA: single: input "x" takes float32 [n,4], the data set gives uint8 samples of [4]; give images by imageDataset, which scales them, or save the numbers as float32',
    );
  });

  it.each(["half", "double"])("a %s teacher teaches, and is evaluated", async (name) => {
    const labelled = arrayDataset({
      inputs: [tensor("float32", values.x!, [6, 4])],
      labels: [0, 1, 2, 0, 1, 2],
    });
    const run = async (teacher: string) =>
      only(
        await collect({
          teacher: bytesOf(teacher),
          student: bytesOf("single"),
          data: labelled,
          evaluation: labelled,
          batch: 6,
          epochs: 2,
        }),
        "step",
      ).map((e) => e.losses.loss as number);
    close(await run(name), await run("single"), 2e-3);
    const measure = async (m: string) =>
      (await evaluateModel(model(m), labelled, { runtime })).metrics.loss as number;
    expect(await measure(name)).toBeCloseTo(await measure("single"), 2);
  });
});

it("a student with a float16 input is fed float32, in the step too, and keeps its input", async () => {
  const fed = new Set<string>();
  const watching: Runtime = {
    name: runtime.name,
    load: async (bytes, options) => {
      const session = await runtime.load(bytes, options);
      return {
        ...{ inputs: session.inputs, outputs: session.outputs, release: () => session.release() },
        run: (feeds, fetch, into) => {
          for (const t of Object.values(feeds)) fed.add(t.dtype);
          return session.run(feeds, fetch, into);
        },
      };
    },
  };
  const data = arrayDataset({ inputs: [tensor("float32", values.x!, [6, 4])], labels: [0, 1, 2, 0, 1, 2] });
  const train = (student: string) =>
    collect({
      student: bytesOf(student),
      data,
      evaluation: data,
      batch: 6,
      epochs: 3,
      runtime: watching,
      worker: false,
    });
  const [half, single] = [await train("half-input"), await train("single")];
  expect(fed).not.toContain("float16");
  const losses = (events: typeof half) => only(events, "step").map((e) => e.losses.loss as number);
  close(losses(half), losses(single), 2e-3);
  expect(losses(half)[2]).toBeLessThan(losses(half)[0] as number);
  const { student } = only(half, "done")[0]!;
  expect(readModel(student, { source: "student" }).inputs).toEqual([
    { name: "x", dtype: "float16", dims: ["n", 4] },
  ]);
});

describe("images", () => {
  it("go as bytes to a model that takes bytes, with channels where it has them, whatever mean and std", async () => {
    close(await outputOf(model("bytes"), images), values.bytes!, 1e-6);
    const planar = Uint8Array.from({ length: 180 }, (_, i) => {
      const [n, c, p] = [Math.floor(i / 30), Math.floor(i / 10) % 3, i % 10];
      return values.pixels![n * 30 + p * 3 + c]!;
    });
    const first = imageDataset({ images: tensor("uint8", planar, [6, 3, 2, 5]), layout: "nchw", mean: 0.5 });
    close(await outputOf(model("bytes"), first), values.bytes!, 1e-6);
  });

  it("go without an axis of channels to a model that has none", async () => {
    close(await outputOf(model("plane"), grey), values.plane!, 1e-6);
  });

  it("go scaled, with channels last, to a model of floats that has them there", async () => {
    close(await outputOf(model("channels-last"), images), values["channels-last"]!, 1e-6);
  });

  it("come back to every byte", async () => {
    const every = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
    const data = imageDataset({
      images: tensor("uint8", every, [1, 16, 16, 3]),
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 1e-3, 40],
    });
    const taking = { source: "m", inputs: [{ name: "i", dtype: "uint8" as const, dims: [1, 16, 16, 3] }] };
    const { i } = feederFor(taking, data)((await data.read([0])).inputs);
    expect(i!.data).toEqual(every);
  });

  it("teach by bytes what is learned from scaled ones, and the run says so", async () => {
    const events = await collect({
      teacher: bytesOf("bytes"),
      student: bytesOf("channels-last"),
      data: images,
      batch: 6,
      epochs: 1,
      augment: { flip: true },
    });
    expect(only(events, "start")[0]!.notes).toContain(
      'the teacher\'s input "image" is given the pixels as they are, 0 to 255, without mean and std',
    );
  });
});
