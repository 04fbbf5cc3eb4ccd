// Labels of a causal language model from its inputs. Knows ids only, no tokenizer and no model.
import { DistillError } from "../base/errors.ts";
import { formatShape, type Tensor, toNumbers } from "../base/tensor.ts";

export interface NextTokenOptions {
  /** What stands where there is nothing to predict. Default -100. */
  readonly ignoreIndex?: number;
  /** The id that fills up short sequences: it is not to be predicted. Default: there is none. */
  readonly pad?: number;
}

/**
 * Token ids int64 or int32 [N, T], moved by one: labels int32 [N, T] with labels[n, t] = ids[n, t + 1]. The last position,
 * and those whose next token is padding, have the ignore index.
 *
 * Errors: E_DATA for ids of another shape or type.
 *
 * @example
 * const ids = tensor("int64", [5, 6, 7, 5, 8, 0], [2, 3]);
 * arrayDataset({ inputs: [ids], labels: nextTokens(ids, { pad: 0 }) }); // labels 6 7 −100, 8 −100 −100
 */
export function nextTokens(ids: Tensor, { ignoreIndex = -100, pad }: NextTokenOptions = {}): Tensor {
  const { dims, dtype } = ids;
  if (dims.length !== 2 || (dtype !== "int64" && dtype !== "int32"))
    throw new DistillError(
      "E_DATA",
      `nextTokens: ids are ${dtype} ${formatShape(dims)}, expected int64 or int32 [N, T]`,
    );
  const length = dims[1] as number;
  const values = toNumbers(ids);
  const data = Int32Array.from(values, (_, i) => {
    const next = values[i + 1];
    return (i + 1) % length === 0 || next === undefined || next === pad ? ignoreIndex : next;
  });
  return { dtype: "int32", dims, data };
}
