// Runs the front of a student (compile/front.ts) before each step, as the teacher is run: a session of the student's own file
// that gives the values which the step is fed.
import { DistillError } from "../base/errors.ts";
import { formatShape, sameShape, type Tensor } from "../base/tensor.ts";
import { type CompiledStep, names, studentName } from "../compile/compile-step.ts";
import { typeOf } from "../graph/graph.ts";
import { editModel } from "../onnx/edit-model.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import type { Runtime, Tensors } from "../runtime/session.ts";

export interface FrontRunner {
  /** What the step is fed for these inputs of the student: the inputs under the step's names, and the front's values. */
  run(inputs: Tensors): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

/** Errors: those of the runtime; when run, E_SHAPE for a value whose shape depends on the data. */
export async function loadFront(
  student: Model,
  { front }: Pick<CompiledStep, "front">,
  runtime: Runtime,
): Promise<FrontRunner> {
  const own = (inputs: Tensors): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(inputs).map(([name, t]) => [studentName(name), t]));
  if (front.values.length === 0)
    return { run: (inputs) => Promise.resolve(own(inputs)), release: () => Promise.resolve() };
  const part = editModel(student, { outputs: front.values.map((v) => v.name) });
  const session = await runtime.load(modelBytes(part), { externalData: part.externalFiles });
  // The values' types are those of the latest observation, which may be of another shape.
  const fed = front.values.map((value) => ({ value, dims: typeOf(value).dims }));
  return {
    async run(inputs) {
      const found = await session.run(inputs);
      const feeds = own(inputs);
      for (const { value, dims } of fed) {
        const t = found[value.name] as Tensor;
        if (!sameShape(t.dims, dims))
          throw new DistillError(
            "E_SHAPE",
            `${student.source}: "${value.name}", made by ${value.producer?.op} at node "${value.producer?.name}", is ${formatShape(t.dims)} for this batch and was ${formatShape(dims)} for the first; a step is compiled for one shape: leave out what makes it depend on the data, or pad the result`,
          );
        feeds[names.front(value.name)] = t;
      }
      return feeds;
    },
    release: () => session.release(),
  };
}
