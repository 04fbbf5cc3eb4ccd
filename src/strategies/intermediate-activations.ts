// Named activation matrices of one model on one batch. A bag with checked names; computes nothing.
import { DistillError } from "../base/errors.ts";
import { checkLayerName } from "./checks.ts";
import { type Matrix, type MatrixLike, matrixFromTensor } from "./matrix.ts";

/**
 * The intermediate values of one model for one batch, by layer name; also what gradients with respect to them
 * come back in. The names are logical: teacher and student use the same one for the layers to be compared.
 *
 * @example
 * ```ts
 * import { IntermediateActivations, Matrix } from "onnx-distill";
 *
 * const student = new IntermediateActivations();
 * student.add("layer3", Matrix.fromRows([[0, 1], [2, 3]]));
 * student.has("layer3"); // => true
 * student.names(); // => ["layer3"]
 * ```
 */
export class IntermediateActivations {
  readonly #layers = new Map<string, Matrix>();

  /**
   * Adds the activations `[samples, neurons]` of a layer; the data is held, not copied. A sequence `[N, T, C]` or a
   * map `[N, C, H, W]` is taken as {@link Matrix.fromTensor} has it, with its positions; gradients by it come back as
   * that matrix, and its `toTensor` gives them the layout of the tensor.
   *
   * Errors: `E_ARGUMENT` for an empty name, `E_NAME` for a name that is there already (a new batch gets a new
   * object), `E_SHAPE` or `E_ARGUMENT` for something that is no such tensor.
   */
  add(name: string, activations: MatrixLike): this {
    checkLayerName("IntermediateActivations.add: name", name);
    if (this.#layers.has(name))
      throw new DistillError(
        "E_NAME",
        `IntermediateActivations.add: "${name}" is there already; use a new IntermediateActivations for each batch`,
      );
    this.#layers.set(name, matrixFromTensor(`activations "${name}"`, activations));
    return this;
  }

  /** The activations of a layer, or undefined where there are none. */
  get(name: string): Matrix | undefined {
    return this.#layers.get(name);
  }

  has(name: string): boolean {
    return this.#layers.has(name);
  }

  /** How many layers there are. */
  get size(): number {
    return this.#layers.size;
  }

  /** The names in the order in which they were added. */
  names(): string[] {
    return [...this.#layers.keys()];
  }
}
