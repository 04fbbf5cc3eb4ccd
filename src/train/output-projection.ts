// The option projectOutputs: outputs of other widths (embeddings) compared through a learned linear map, which is left out of the
// student that is delivered. The map itself is losses/projection.ts.
import { DistillError } from "../base/errors.ts";
import type { Tensor } from "../base/tensor.ts";
import { averageKey } from "../compile/emit-average.ts";
import { type Pack, unpackTensors } from "../compile/state.ts";
import { outputProjection } from "../losses/projection.ts";
import { type Projection, type ProjectionOptions, resolveProjection } from "../losses/projection-options.ts";
import type { Task } from "../tasks/index.ts";
import { rowsShape } from "../tasks/index.ts";
import type { DistillOptions } from "./options.ts";
import type { StepRunner } from "./step-runner.ts";

/** Errors: E_OPTION where there is nothing to project to, or the loss looks at more than the teacher. */
export function resolveOutputProjection(
  { projectOutputs, teacher, data, evaluation }: DistillOptions,
  task: Task,
  seed: number,
): Projection | undefined {
  if (!projectOutputs) return undefined;
  const refuse = (why: string): never => {
    throw new DistillError("E_OPTION", `distill: projectOutputs ${why}`);
  };
  if (!teacher) refuse("needs a teacher");
  if (task.outputs !== "identity")
    refuse(
      `is for outputs that are numbers (task regression); the logits of task ${task.name} are classes, of which classMap says which is which`,
    );
  if (data.hasLabels || evaluation?.hasLabels)
    refuse("compares with the teacher alone, for labels are not of its width: leave the labels out");
  return resolveProjection(
    "distill: projectOutputs",
    projectOutputs === true ? {} : (projectOutputs as ProjectionOptions),
    seed,
  );
}

/** What the run's projection makes of the student's outputs; undefined where it has none. */
export function projectionOf({ compiled, state }: StepRunner): ((outputs: Tensor) => Tensor) | undefined {
  // As the student that is evaluated: where the run averages, the average.
  const key = compiled.averageWeights === undefined ? (p: Pack) => p.key : averageKey;
  const tensors = new Map(
    compiled.auxiliary.parameters.flatMap((pack) => [
      ...unpackTensors(pack, state.get(key(pack)) as Float32Array),
    ]),
  );
  const weight = tensors.get(outputProjection.weight);
  if (!weight) return undefined;
  const [width, own] = weight.dims as [number, number];
  const [w, c] = [weight.data as Float32Array, tensors.get(outputProjection.bias)?.data as Float32Array];
  return ({ dtype, dims, data }) => {
    const [rows] = rowsShape(dims);
    const to = new Float32Array(rows * width);
    for (let r = 0; r < rows; r++)
      for (let o = 0; o < width; o++) {
        let sum = c?.[o] ?? 0;
        for (let i = 0; i < own; i++)
          sum += (w[o * own + i] as number) * ((data as Float32Array)[r * own + i] as number);
        to[r * width + o] = sum;
      }
    return { dtype, dims: [...dims.slice(0, dims.length > 1 ? -1 : undefined), width], data: to };
  };
}
