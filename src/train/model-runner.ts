// Runs a user's model, as it is, on batches of a data set: fed by the data set's inputs, in batches of the model's own size
// where it was made for one.
import { DistillError } from "../base/errors.ts";
import { floatsAsFloat32 } from "../base/floats.ts";
import { joinBatches, takeSamples } from "../base/samples.ts";
import { formatShape, isFloat, type Tensor } from "../base/tensor.ts";
import type { Dataset } from "../data/dataset.ts";
import { withOutputs } from "../onnx/export-model.ts";
import { withFloat32Inputs } from "../onnx/float32-inputs.ts";
import type { Model } from "../onnx/model.ts";
import { fixedBatchOf } from "../prepare/fixed-batch.ts";
import { observe } from "../runtime/observe.ts";
import type { Runtime, Session } from "../runtime/session.ts";
import { feederFor } from "./feeds.ts";
import { axisThatTurns } from "./turned-samples.ts";

export interface ModelRunner {
  /** The batch size that the model was made for; undefined where it takes any. */
  readonly fixedBatch: number | undefined;
  /**
   * The wanted values, floats as float32, for a batch of any size [n, …], inputs in the data set's order; `only`: some of
   * them. A model made for a fixed batch runs several times, the last batch filled up with the first sample. So does one that leaves its batch
   * open and takes no more than one sample all the same, because its constants say so.
   */
  run(inputs: readonly Tensor[], only?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Sets the types of the model's values, as they are for some of these samples; what cannot be run stays unknown. */
  observe(inputs: readonly Tensor[]): Promise<void>;
  release(): Promise<void>;
}

/**
 * Errors: E_DATA where model and data do not fit, E_NAME for values that do not exist; when run, E_SHAPE for a value of a
 * model of fixed batch that has the batch neither first nor second.
 */
export async function openRunner(
  given: Model,
  runtime: Runtime,
  dataset: Pick<Dataset, "inputs">,
  wanted: readonly string[],
): Promise<ModelRunner> {
  const model = withFloat32Inputs(given);
  const feed = feederFor(model, dataset);
  const names = [...new Set(wanted)];
  const inner = names.filter((n) => !model.graph.outputs.some((o) => o.name === n));
  const loaded = await runtime.load(withOutputs(model, inner), { externalData: model.externalFiles });
  const session: Pick<Session, "run" | "release"> = {
    release: () => loaded.release(),
    run: async (feeds, fetch) =>
      Object.fromEntries(
        Object.entries(await loaded.run(feeds, fetch)).map(([name, t]) => [name, floatsAsFloat32(t)]),
      ),
  };
  let fixedBatch = fixedBatchOf(model);

  /** Where the samples of a value lie, found once. */
  const axes = new Map<string, number>();
  const axisIn = async (name: string, part: Tensor, size: number, inputs: readonly Tensor[]) => {
    const known = axes.get(name);
    if (known !== undefined) return known;
    const shown = batchAxis(part, name, size, model.source);
    const turned = (at: readonly number[]) =>
      session.run(feed(inputs.map((t) => takeSamples(t, at))), [name]).then((out) => out[name] as Tensor);
    const unclear = size > 1 && part.dims[0] === size && part.dims[1] === size && isFloat(part.dtype);
    const axis = (unclear ? await axisThatTurns(part, size, turned) : undefined) ?? shown;
    axes.set(name, axis);
    return axis;
  };

  const inParts = async (inputs: readonly Tensor[], n: number, only: readonly string[], size: number) => {
    const parts: Record<string, Tensor>[] = [];
    const places = (from: number): number[] =>
      Array.from({ length: size }, (_, i) => (from + i < n ? from + i : 0));
    for (let from = 0; from < n; from += size)
      parts.push(await session.run(feed(inputs.map((t) => takeSamples(t, places(from)))), only));
    const kept = Array.from({ length: n }, (_, i) => i);
    const joined: Record<string, Tensor> = {};
    for (const name of only) {
      const all = parts.map((p) => p[name] as Tensor);
      const first = inputs.map((t) => takeSamples(t, places(0)));
      const axis = await axisIn(name, all[0] as Tensor, size, first);
      joined[name] = takeSamples(joinBatches(all, axis), kept, axis);
    }
    return joined;
  };

  return {
    get fixedBatch() {
      return fixedBatch;
    },
    release: () => session.release(),
    async observe(inputs) {
      const n = inputs[0]?.dims[0] ?? 1;
      const at = Array.from({ length: fixedBatch ?? 2 }, (_, i) => i % n);
      const seen = await observe(model, runtime, feed(inputs.map((t) => takeSamples(t, at)))).catch(
        () => undefined,
      );
      for (const [{ name }, type] of seen?.types ?? []) {
        const value = given.graph.find(name);
        if (value) value.type = type;
      }
    },
    async run(inputs, only = names) {
      const n = inputs[0]?.dims[0] ?? 0;
      if (fixedBatch !== undefined && n !== fixedBatch) return inParts(inputs, n, only, fixedBatch);
      try {
        return await session.run(feed(inputs), only);
      } catch (error) {
        if (
          fixedBatch !== undefined ||
          n < 2 ||
          !(error instanceof DistillError && error.code === "E_RUNTIME")
        )
          throw error;
        const found = await inParts(inputs, n, only, 1).catch(() => {
          throw error;
        });
        fixedBatch = 1;
        return found;
      }
    },
  };
}

/** Sequences may come with time in front. */
function batchAxis({ dims }: Tensor, name: string, batch: number, source: string): number {
  const axis = dims.slice(0, 2).indexOf(batch);
  if (axis >= 0) return axis;
  throw new DistillError(
    "E_SHAPE",
    `${source}: made for a batch of ${batch}, and "${name}" is ${formatShape(dims)}, which does not begin with it; take another value, or export the model with a dynamic first dimension`,
  );
}
