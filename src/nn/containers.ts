// Layers made of layers: one after another, under a name, and around a shortcut.
import { checkKeys, DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import type { Draft, Flow, Layer } from "./layer.ts";

/** One layer after another. Its layers are numbered as if they stood where it stands. */
export function sequential(...layers: readonly Layer[]): Layer {
  return { kind: "", build: (draft, x) => layers.reduce((y, layer) => draft.add(layer, y), x) };
}

/** One layer after another, their names and weights beginning with `name/`; numbering begins anew. */
export function block(name: string, ...layers: readonly Layer[]): Layer {
  const build = (draft: Draft, x: Flow): Flow =>
    draft.within(draft.pathOf("block", name), () => draft.add(sequential(...layers), x));
  return { kind: "", build };
}

export interface ResidualOptions {
  /** What the names of its layers begin with; default "residual" and a number. To tap its output, name the activation. */
  readonly name?: string;
  /** What the input goes through beside the body; default nothing. Needed where the body changes the shape. */
  readonly shortcut?: Layer;
  /** What follows the sum, as `relu()`. Default nothing. */
  readonly activation?: Layer;
}

/**
 * y = activation(body(x) + shortcut(x)). Its layers are named `name/…`, by default `residual1/…`; those of the shortcut
 * `name/shortcut/…`.
 *
 * Errors: E_SHAPE where body and shortcut do not give the same shape.
 * Source: K. He et al., "Deep residual learning for image recognition", 2016.
 *
 * @example
 * residual(sequential(conv(16, 3, { padding: 1, bias: false }), batchNorm()), { activation: relu() });
 */
export function residual(body: Layer, options: ResidualOptions = {}): Layer {
  checkKeys("residual", options, ["name", "shortcut", "activation"]);
  const { name, shortcut, activation } = options;
  const build = (draft: Draft, x: Flow): Flow => {
    const path = draft.pathOf("residual", name);
    return draft.within(path, () => {
      const main = draft.add(body, x);
      const side = shortcut ? draft.add(block("shortcut", shortcut), x) : x;
      if (main.dims.length !== side.dims.length || main.dims.some((d, i) => d !== side.dims[i]))
        throw new DistillError(
          "E_SHAPE",
          `layer "${path}": residual: the body gives ${formatShape(main.dims)}, the shortcut ${formatShape(side.dims)}; ` +
            `they must be equal, so add a shortcut such as conv(${main.dims[1]}, 1, { stride })`,
        );
      const sum = draft.node("Add", path, [main, side], main.dims, {}, "add");
      return activation ? draft.add(activation, sum) : sum;
    });
  };
  return { kind: "", build };
}
