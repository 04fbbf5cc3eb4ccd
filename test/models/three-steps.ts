// Three steps of a student over all samples, and how far its outputs are from those that PyTorch's three steps leave.
import * as ort from "onnxruntime-node";
import { type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { arrayDataset, type DistillOptions, distill } from "../../src/index.ts";

/** What a fixture holds: samples, labels, and PyTorch's outputs before and after. */
export type Steps = (key: "x" | "y" | "before" | "after") => Tensor;

/** ‖outputs − PyTorch's‖ / ‖how far PyTorch's moved‖. */
export async function offAfterThreeSteps(
  model: Uint8Array,
  read: Steps,
  options: Partial<DistillOptions>,
): Promise<number> {
  const [x, y] = [read("x"), read("y")];
  const classes = options.task === undefined || options.task === "classification";
  let student: Uint8Array | undefined;
  for await (const event of distill({
    student: model,
    data: arrayDataset({ inputs: [x], labels: classes ? toNumbers(y) : y }),
    batch: x.dims[0] as number,
    epochs: 3,
    schedule: { schedule: "constant" },
    keep: "last",
    worker: false,
    ...options,
  }))
    if (event.type === "done") student = event.student;
  const after = await outputs(student as Uint8Array, x);
  const [want, before] = [toNumbers(read("after")), toNumbers(read("before"))];
  return distance(after, want) / distance(before, want);
}

async function outputs(model: Uint8Array, x: Tensor): Promise<number[]> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const feeds = { x: new ort.Tensor(x.dtype as "float32", x.data as Float32Array, [...x.dims]) };
  const { logits } = await session.run(feeds);
  return Array.from(logits?.data as Float32Array);
}

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.hypot(...a.map((v, i) => v - (b[i] as number)));
