// Reduced versions of the architectures that people have, as PyTorch's exporters write them (bench/models/export.py --small,
// committed under test/fixtures/zoo): every parameter's gradient is PyTorch's, nothing else is trained, a step lowers the
// loss, and the model written back is itself.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compareModel, differs, type FormComparison } from "../../bench/models/compare-model.ts";
import { architecturesIn, type Exported, readReference } from "../../bench/models/reference.ts";
import { createNodeRuntime } from "../../src/runtime/ort-node.ts";

/** Models this small are computed by one thread sooner than by two. */
const runtime = createNodeRuntime({ threads: 1 });
const folder = fileURLToPath(new URL("../fixtures/zoo", import.meta.url));

/** A key's bias adds the same to every score of a row, and a softmax does not see it. */
const zeroGradients: Readonly<Record<string, readonly string[]>> = {
  "bert-mini": ["model.bert.encoder.layer.0.attention.self.key.bias"],
  distilbert: ["model.distilbert.transformer.layer.0.attention.k_lin.bias"],
};

/** Scales before a BatchNorm on the statistics of the batch, which takes them out again: float32 is left with rounding. */
const inFloat64 = ["densenet121", "mobilenet-v2-fresh"];

/** The TorchScript exporter has no Fourier transform but STFT. */
const onlyDynamo = ["fnet", "fno"];

test("holds the architectures", () => {
  expect(architecturesIn(folder)).toHaveLength(37);
});

describe.each(architecturesIn(folder))("%s", (name) => {
  const reference = readReference(folder, name);
  const exporters = Object.keys(reference.models).filter(
    (exporter) => !(onlyDynamo.includes(name) && !exporter.startsWith("dynamo")),
  );

  test("was exported by every exporter", () => {
    const wanted = name.endsWith("-fresh") ? ["unfolded"] : ["torchscript", "unfolded", "dynamo"];
    expect(exporters).toEqual(expect.arrayContaining(onlyDynamo.includes(name) ? ["dynamo"] : wanted));
    for (const exporter of exporters) expect(reference.models[exporter]).not.toHaveProperty("failed");
  });

  test.each(exporters)("%s", async (exporter) => {
    const exported = reference.models[exporter] as Exported;
    const found = await compareModel(reference, exporter, runtime);
    expect(exported.notHeld).toEqual([]);
    expect(found.notTrained).toEqual([]);
    expect(found.alsoTrained).toEqual([]);
    expectSame(found.frozen, exported);
    expect(found.frozen.gradients.filter((g) => g.zero).map((g) => g.of)).toEqual(zeroGradients[name] ?? []);
    expect(found.frozen.gradients.filter((g) => g.exact !== undefined)).toEqual([]);
    expect(found.outputError).toBeLessThan(1e-5);
    expect(found.lossError).toBeLessThan(1e-6);
    expect(found.roundTrip).toBe(true);
    expect(found.training !== undefined).toBe(exported.training !== undefined);
    if (!found.training) return;
    expectSame(found.training, exported);
    for (const s of found.training.statistics) expect(s.error, `next ${s.of}`).toBeLessThan(1e-5);
    for (const { of, exact } of found.training.gradients)
      if (inFloat64.includes(name)) expect(exact, of).toBeLessThan(1e-6);
      else expect(exact, of).toBeUndefined();
  });
});

function expectSame({ gradients, descent }: FormComparison, { entries }: Exported): void {
  expect(gradients).toHaveLength(entries.length);
  expect(gradients.filter(differs)).toEqual([]);
  expect(descent).toBeGreaterThan(0.9);
  expect(descent).toBeLessThan(1.1);
}
