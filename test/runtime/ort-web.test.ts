// The wasm build runs in Node too, which is where these tests run it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { modelBytes } from "../../src/onnx/export-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { nodeRuntime } from "../../src/runtime/ort-node.ts";
import { createWebRuntime } from "../../src/runtime/ort-web.ts";
import type { Session } from "../../src/runtime/session.ts";
import { fixtureBytes, fixturePath, torchFacts } from "../fixtures/models.ts";

const runtime = createWebRuntime({ threads: 1 });
let session: Session;
beforeAll(async () => {
  session = await runtime.load(fixtureBytes("cnn-dynamo.onnx"));
});
afterAll(() => session.release());

it("computes on wasm what Node's CPU computes", async () => {
  const { input } = torchFacts("cnn");
  const reference = await nodeRuntime.load(fixtureBytes("cnn-dynamo.onnx"));
  const expected = (await reference.run({ input })).logits!;
  const { logits } = await session.run({ input });
  expect(logits!.dims).toEqual(expected.dims);
  for (const [i, v] of [...(logits!.data as Float32Array)].entries())
    expect(v).toBeCloseTo(expected.data[i] as number, 5);
  expect(session.inputs).toEqual(reference.inputs);
  await reference.release();
});

it("returns a fresh tensor where one to write into is given", async () => {
  const { input } = torchFacts("cnn");
  const into: Tensor = tensor("float32", new Array(10).fill(0), [2, 5]);
  const { logits } = await session.run({ input }, ["logits"], { logits: into });
  expect(logits).not.toBe(into);
  expect(Math.abs(logits!.data[0] as number)).toBeGreaterThan(0);
});

it("takes external files and wraps errors", async () => {
  const model = await readModelFile(fixturePath("encodings.onnx"));
  const encodings = await runtime.load(modelBytes(model), { externalData: model.externalFiles });
  const { int64_external_out: out } = await encodings.run({}, ["int64_external_out"]);
  expect(out).toEqual(tensor("int64", [0, -1, -2, -3, -4, -5], [2, 3]));
  await encodings.release();
  await expect(runtime.load(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({
    code: "E_RUNTIME",
    message: expect.stringMatching(/^onnxruntime-web \(wasm\), loading the model: [^\n]+$/),
  });
});
