// How large a compiled step is at work.
import { sizeOf } from "../base/tensor.ts";
import type { CompiledStep } from "./compile-step.ts";

/** How many numbers the values of a step hold in all. */
export function numbersIn({ step }: Pick<CompiledStep, "step">): number {
  const sizes = [...step.nodes].flatMap((node) =>
    node.outputs.map((v) => (v?.type ? sizeOf(v.type.dims) : 0)),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
