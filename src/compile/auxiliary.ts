// State that a loss brings along beside the student's: parameters that are trained with it (a projection) and variables
// that are carried from step to step without a gradient (a running average). It lives in the step, in checkpoints and
// under the optimizer like the student's own, and is never part of the exported model.
import { DistillError } from "../base/errors.ts";
import { sizeOf, type Tensor } from "../base/tensor.ts";
import type { Value } from "../graph/graph.ts";
import type { LossState, LossVariable } from "../losses/terms.ts";
import type { Builder } from "../ops/builder.ts";
import type { Pack } from "./state.ts";

/** One tensor of auxiliary state: a vector of its own, because its shape is known only once the loss is emitted. */
export interface AuxiliaryPack extends Pack {
  readonly initial: Float32Array;
}

/** The key, among all state, of what the loss calls `name`. */
export const auxiliaryKey = (name: string): string => `auxiliary/${name}`;

/** Collects what one emission of the loss asks for. */
export class Auxiliary implements LossState {
  /** By pack key: the vector, and the parameter itself as a value to differentiate by. */
  readonly parameters = new Map<string, { pack: AuxiliaryPack; input: Value; view: Value }>();
  /** By pack key: the variable's next value, or its present one where nothing was assigned. */
  readonly variables = new Map<string, { pack: AuxiliaryPack; next: Value }>();
  readonly #b: Builder;
  readonly #inputName: (key: string) => string;

  constructor(b: Builder, inputName: (key: string) => string) {
    this.#b = b;
    this.#inputName = inputName;
  }

  parameter(name: string, initial: Tensor): Value {
    const { pack, input, view } = this.#declare(name, initial);
    this.#b.anchors.add(view);
    this.parameters.set(pack.key, { pack, input, view });
    return view;
  }

  variable(name: string, initial: Tensor): LossVariable {
    const { pack, view } = this.#declare(name, initial);
    const entry = { pack, next: view };
    this.variables.set(pack.key, entry);
    return {
      value: view,
      assign: (next) => {
        entry.next = next;
      },
    };
  }

  #declare(name: string, initial: Tensor): { pack: AuxiliaryPack; input: Value; view: Value } {
    const key = auxiliaryKey(name);
    if (this.parameters.has(key) || this.variables.has(key))
      throw new DistillError(
        "E_NAME",
        `the loss asks for two pieces of state named "${name}"; name each once`,
      );
    if (initial.dtype !== "float32")
      throw new DistillError(
        "E_ARGUMENT",
        `the loss's state "${name}" is ${initial.dtype}, expected float32`,
      );
    const size = sizeOf(initial.dims);
    const pack = {
      key,
      size,
      tensors: [{ name, dims: initial.dims, offset: 0, size }],
      initial: initial.data as Float32Array,
    };
    const input = this.#b.graph.addInput(this.#inputName(key), { dtype: "float32", dims: [size] });
    return { pack, input, view: this.#b.reshape(input, initial.dims) };
  }
}
