// Geometry of windows that slide over the spatial axes, for convolutions and pools.
import { DistillError } from "../base/errors.ts";
import { formatShape } from "../base/tensor.ts";
import { type Dim, type Flow, perAxis } from "./layer.ts";

/** Both sides alike, one number for all spatial axes or one for each; or as much as "same" needs. */
export type Padding = number | readonly number[] | "same";

export interface Window {
  /** Spatial dimensions of the output. */
  readonly dims: readonly Dim[];
  readonly strides: readonly number[];
  /** Before each axis, then after each axis, as ONNX has them. */
  readonly pads: readonly number[];
}

export function windowOf(
  x: Flow,
  path: string,
  kernel: readonly number[],
  stride: number | readonly number[],
  padding: Padding,
  dilations: readonly number[] = kernel.map(() => 1),
): Window {
  const where = `layer "${path}"`;
  const spatial = x.dims.slice(2);
  const strides = perAxis(stride, kernel.length, 1, `${where}: stride`);
  const reach = kernel.map((k, i) => (k - 1) * dilations[i]! + 1);
  const sides = padding === "same" ? undefined : perAxis(padding, kernel.length, 0, `${where}: padding`);
  const pads = spatial.map((d, i): [number, number] => {
    if (sides) return [sides[i]!, sides[i]!];
    const total = samePadding(d, strides[i]!, reach[i]!, where);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  const dims = spatial.map((d, i): Dim => {
    if (typeof d !== "number") return "?";
    const room = d + pads[i]![0] + pads[i]![1] - reach[i]!;
    if (room < 0)
      throw new DistillError(
        "E_SHAPE",
        `${where}: a window of ${formatShape(reach)} does not fit its input ${formatShape(x.dims)}, padding included; use a smaller kernel, less stride before it, or padding: "same"`,
      );
    return Math.floor(room / strides[i]!) + 1;
  });
  return { dims, strides, pads: [...pads.map(([before]) => before), ...pads.map(([, after]) => after)] };
}

function samePadding(d: Dim, stride: number, reach: number, where: string): number {
  if (stride === 1) return reach - 1;
  if (typeof d === "number") return Math.max(0, (Math.ceil(d / stride) - 1) * stride + reach - d);
  throw new DistillError(
    "E_SHAPE",
    `${where}: padding "same" with stride ${stride} needs the input's size, but "${d}" is open; give the padding in numbers`,
  );
}
