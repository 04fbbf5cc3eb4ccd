// Col2Im, the inverse of cutting an image into blocks (PyTorch's fold), and CenterCropPad. Source: ONNX operator specification,
// Col2Im-18 and CenterCropPad-18.
import { DistillError } from "../base/errors.ts";
import { formatShape, type NumericDType, sizeOf, tensor } from "../base/tensor.ts";
import { ints, typeOf } from "../graph/graph.ts";
import { int } from "./builder.ts";
import { defineOp, oneOutput } from "./define.ts";
import { axisOf } from "./infer.ts";

/** y[place] = sum of the blocks' numbers that lie there: a transposed convolution whose filters are ones at one place each. */
const col2Im = defineOp({
  op: "Col2Im",
  versions: [18],
  fixed: [1, 2],
  composed: true,
  note: "dilated over 2 axes alone (wrong over others in ONNX Runtime 1.30)",
  emit: oneOutput(({ b, x, numbers, attr, where }) => {
    const [image, block] = [numbers(1), numbers(2)];
    const axes = image.map(() => 1);
    const [dilations, strides] = [attr.ints("dilations", axes), attr.ints("strides", axes)];
    const pads = attr.ints(
      "pads",
      [...axes, ...axes].map(() => 0),
    );
    const rank = image.length;
    const at = (list: readonly number[], i: number): number => list[i] as number;
    const reach = block.map((k, i) => at(dilations, i) * (k - 1) + 1);
    const room = image.map((size, i) => size + at(pads, i) + at(pads, i + rank) - at(reach, i));
    const blocks = room.map((r, i) => Math.floor(r / at(strides, i)) + 1);
    const [n, rows, columns] = b.dims(x(0)) as [number, number, number];
    const taps = sizeOf(block);
    if (b.dims(x(0)).length !== 3 || rows % taps !== 0 || columns !== sizeOf(blocks))
      throw new DistillError(
        "E_SHAPE",
        `${where}: blocks ${formatShape(b.dims(x(0)))} do not make an image ${formatShape(image)} of blocks ${formatShape(block)}; there must be ${sizeOf(blocks)} of them, of a multiple of ${taps} numbers`,
      );
    if (rank !== 2 && dilations.some((d) => d > 1))
      throw new DistillError(
        "E_OP",
        `${where}: dilations ${formatShape(dilations)} over ${rank} axes, which ONNX Runtime adds up at wrong places; use 2 axes, of which one may have length 1`,
      );
    const channels = rows / taps;
    const filters = Array.from({ length: rows * taps }, (_, i) =>
      Number(Math.floor(i / taps) % taps === i % taps),
    );
    const weights = tensor(typeOf(x(0)).dtype as NumericDType, filters, [rows, 1, ...block]);
    return b.node("ConvTranspose", [b.reshape(x(0), [n, rows, ...blocks]), b.constant(weights, "places")], {
      kernel_shape: ints(block),
      strides: ints(strides),
      dilations: ints(dilations),
      pads: ints(pads),
      group: int(channels),
      output_padding: ints(room.map((r, i) => r % at(strides, i))),
    });
  }),
});

/** y = the middle of x on the axes where it is longer than asked for, x between zeros where it is shorter. */
const centerCropPad = defineOp({
  op: "CenterCropPad",
  versions: [18],
  fixed: [1],
  composed: true,
  emit: oneOutput(({ b, x, numbers, attr, where }) => {
    const dims = b.dims(x(0));
    const axes = attr.ints("axes", [...dims.keys()]).map((a) => axisOf(a, dims.length, where));
    const target = [...dims];
    axes.forEach((axis, i) => {
      target[axis] = numbers(1)[i] as number;
    });
    const cut = dims.map((d, i) => Math.max(0, d - (target[i] as number)));
    const added = dims.map((d, i) => Math.max(0, (target[i] as number) - d));
    const starts = cut.map((c) => Math.floor(c / 2));
    const middle = cut.some((c) => c > 0)
      ? b.slice(
          x(0),
          starts,
          starts.map((s, i) => s + Math.min(dims[i] as number, target[i] as number)),
          [...dims.keys()],
        )
      : x(0);
    const before = added.map((a) => Math.floor(a / 2));
    return b.pad(
      middle,
      before,
      added.map((a, i) => a - (before[i] as number)),
    );
  }),
});

export const foldBlockOps = [col2Im, centerCropPad] as const;
